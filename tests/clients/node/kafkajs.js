// KafkaJS: idempotent producers, a round-robin group that commits after every batch, and the admin client.

import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { PARTITIONS, PER_CODEC, REPLICAS, RESUMED, Checker, Records, check, dance, main, number, waitFor } from './common.js'

const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = snappy

const CODECS = ['none', 'gzip', 'snappy']
const TYPES = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }

function plain (partition, message) {
  return {
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: Object.entries(message.headers)
  }
}

async function produce (kafka, topic, records, codec, from, to) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let n = from; n < to; n += 1000) {
    const messages = []
    for (let m = n; m < Math.min(n + 1000, to); m++) {
      messages.push({ key: records.key(m), value: records.value(m), headers: Object.fromEntries(records.headers(m)), timestamp: String(records.timestamp(m)) })
    }
    await producer.send({ topic, messages, acks: -1, compression: TYPES[codec] })
  }
  await producer.disconnect()
}

async function startMember (kafka, topic, groupId, checker) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 300, sessionTimeout: 20_000, maxWaitTimeInMs: 100 })
  const member = { owned: 0, error: null, leave: () => consumer.disconnect() }
  consumer.on(consumer.events.GROUP_JOIN, event => { member.owned = (event.payload.memberAssignment[topic] ?? []).length })
  consumer.on(consumer.events.CRASH, event => { member.error = event.payload.error })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      if (!isRunning() || isStale()) return
      try {
        for (const message of batch.messages) {
          checker.accept(plain(batch.partition, message))
          resolveOffset(message.offset)
        }
      } catch (error) {
        member.error = error
        throw error
      }
      const offset = String(Number(batch.messages.at(-1).offset) + 1)
      await consumer.commitOffsets([{ topic, partition: batch.partition, offset }])
      await heartbeat()
    }
  })
  return member
}

main('kafkajs', async (bootstrap, topic) => {
  const kafka = new Kafka({ clientId: 'kafkajs', brokers: bootstrap.split(','), logLevel: process.env.KAFKAJS_DEBUG ? logLevel.DEBUG : logLevel.NOTHING })
  const groupId = `g-${topic}`
  const records = new Records(CODECS)
  const admin = kafka.admin()
  await admin.connect()
  const cluster = await admin.describeCluster()
  check(cluster.brokers.length === 3 && cluster.clusterId && cluster.controller > 0, () => JSON.stringify(cluster))
  const wanted = { topic, numPartitions: PARTITIONS, replicationFactor: REPLICAS, configEntries: [{ name: 'retention.ms', value: '86400000' }] }
  check(await admin.createTopics({ topics: [wanted], waitForLeaders: true }), 'the topic was there')
  check(!await admin.createTopics({ topics: [wanted] }), 'the topic was created twice')
  await waitFor('in-sync replicas', async () => {
    const partitions = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions
    return partitions.length === PARTITIONS && partitions.every(p => p.leader > 0 && p.replicas.length === REPLICAS && p.isr.length === REPLICAS)
  })

  for (const [c, codec] of CODECS.entries()) await produce(kafka, topic, records, codec, c * PER_CODEC, (c + 1) * PER_CODEC)

  const checker = new Checker(records)
  await dance(() => startMember(kafka, topic, groupId, checker), checker, () => waitFor('a stable group of four', async () => {
    const { groups: [group] } = await admin.describeGroups([groupId])
    return group.state === 'Stable' && group.members.length === 4 && group.protocol === 'RoundRobinAssigner'
  }))
  const committed = async ends => {
    const [answer] = await admin.fetchOffsets({ groupId, topics: [topic] })
    for (const { partition, offset } of answer.partitions) check(Number(offset) === ends.get(partition), () => `committed ${offset} of ${partition}`)
  }
  await committed(checker.next)

  await produce(kafka, topic, records, 'none', records.total, records.total + RESUMED)
  const resumed = new Checker(records, records.total, records.total + RESUMED)
  resumed.next = new Map(checker.next)
  const last = await startMember(kafka, topic, groupId, resumed)
  await waitFor('the resumed records', () => { if (last.error) throw last.error; return resumed.complete })
  await last.leave()
  const ends = resumed.next
  await waitFor('the last commit', () => committed(ends).then(() => true, () => false))

  await seekAndLookUp(kafka, admin, topic, records, checker, ends)
  await describe(admin, topic, groupId, ends)
  return `records=${records.total + RESUMED} codecs=${CODECS.length}`
})

async function seekAndLookUp (kafka, admin, topic, records, checker, ends) {
  const middle = records.total / 2
  for (const { partition, offset } of await admin.fetchTopicOffsetsByTimestamp(topic, records.timestamp(middle))) {
    check(Number(offset) === checker.offsetAt(partition, middle), () => `timestamp: ${partition} is ${offset}`)
  }
  for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
    check(Number(low) === 0 && Number(high) === ends.get(partition), () => `watermarks of ${partition}: ${low} ${high}`)
  }
  // Seeking needs a running group member: each seek is checked on what arrives after it.
  const consumer = kafka.consumer({ groupId: `seek-${topic}`, maxWaitTimeInMs: 100, heartbeatInterval: 300 })
  let wanted = null
  let failed = null
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, isStale }) => {
      if (!wanted || isStale() || batch.partition !== wanted.partition || wanted.done) return
      if (Number(batch.firstOffset()) !== wanted.start) return
      for (const [i, message] of batch.messages.slice(0, 10).entries()) {
        const offset = wanted.start + i
        if (Number(message.offset) !== offset || number(plain(batch.partition, message).headers) !== checker.numberAt(batch.partition, offset)) {
          failed = new Error(`seek ${batch.partition}-${offset}: ${message.offset}`)
        }
      }
      wanted.done = true
    }
  })
  await waitFor('an assignment', async () => (await admin.describeGroups([`seek-${topic}`])).groups[0].state === 'Stable')
  for (const [partition, end] of ends) {
    for (const start of [Math.floor(end / 2), Math.floor(end / 3)]) {
      wanted = { partition, start, done: false }
      await waitFor(`records after seek ${partition}-${start}`, async () => {
        if (failed) throw failed
        if (!wanted.done) consumer.seek({ topic, partition, offset: String(start) })
        await new Promise(resolve => setTimeout(resolve, 50))
        return wanted.done
      })
    }
  }
  await consumer.disconnect()
}

async function describe (admin, topic, groupId, ends) {
  check((await admin.listTopics()).includes(topic), 'topic not listed')
  const config = async name => {
    const answer = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }], includeSynonyms: false })
    return answer.resources[0].configEntries.find(entry => entry.configName === name).configValue
  }
  check(await config('retention.ms') === '86400000', 'retention.ms')
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'max.message.bytes', value: '2000000' }] }] })
  await waitFor('the changed config', async () => await config('max.message.bytes') === '2000000')
  check((await admin.listGroups()).groups.some(group => group.groupId === groupId && group.protocolType === 'consumer'), 'group not listed')
  check((await admin.describeGroups([groupId])).groups[0].state === 'Empty', 'the group is not empty')
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '7' }] })
  const [moved] = await admin.fetchOffsets({ groupId, topics: [topic] })
  check(moved.partitions.find(p => p.partition === 0).offset === '7', 'set offsets')
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '100' }] })
  const low = (await admin.fetchTopicOffsets(topic)).find(p => p.partition === 1).low
  check(low === '100', () => `low watermark ${low}`)
  await admin.createPartitions({ topicPartitions: [{ topic, count: PARTITIONS + 1 }] })
  await waitFor('a seventh partition', async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === PARTITIONS + 1)
  await admin.deleteGroups([groupId, `seek-${topic}`])
  await admin.deleteTopics({ topics: [topic] })
  await waitFor('the topic to be gone', async () => !(await admin.listTopics()).includes(topic))
  await admin.disconnect()
}
