"""librdkafka's mock cluster as a process: prints its bootstrap addresses and how many seconds it took to start, serves
until stdin closes.

Reached through the C API of the library inside confluent-kafka's wheel; Python itself only waits.
Arguments: TOPIC:PARTITIONS:REPLICATION … to create, since the mock does not serve CreateTopics.
"""

import ctypes
import glob
import os
import sys
import time

import confluent_kafka

site = os.path.dirname(os.path.dirname(confluent_kafka.__file__))
library = ctypes.CDLL(glob.glob(os.path.join(site, "confluent_kafka.libs", "librdkafka*.so*"))[0])
library.rd_kafka_conf_new.restype = ctypes.c_void_p
library.rd_kafka_new.restype = ctypes.c_void_p
library.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
library.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
library.rd_kafka_mock_topic_create.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]

began = time.perf_counter()
error = ctypes.create_string_buffer(512)
client = library.rd_kafka_new(0, library.rd_kafka_conf_new(), error, 512)
if not client:
    sys.exit(error.value.decode())
cluster = library.rd_kafka_mock_cluster_new(client, 3)
for topic in sys.argv[1:]:
    name, partitions, replication = topic.split(":")
    failed = library.rd_kafka_mock_topic_create(cluster, name.encode(), int(partitions), int(replication))
    if failed:
        sys.exit(f"cannot create {topic}: error {failed}")
bootstrap = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()
print(bootstrap, time.perf_counter() - began, flush=True)
sys.stdin.read()
