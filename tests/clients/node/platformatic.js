// @platformatic/kafka: idempotent producers, a group, and the admin client.
//
// Its stream hands out what it had read before a rebalance, so the group changes size between two codecs, when all that
// was produced has been consumed and committed.

import zlib from 'node:zlib'
import { PARTITIONS, PER_CODEC, REPLICAS, RESUMED, Checker, Records, check, main, number, waitFor } from './common.js'

// Node 20 lacks what the client takes for granted.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((a, b) => { resolve = a; reject = b })
  return { promise, resolve, reject }
}
const { Admin, Consumer, Producer, ConfigResourceTypes, IncrementalAlterConfigOperationTypes, ListOffsetTimestamps } = await import('@platformatic/kafka')

const CODECS = ['none', 'gzip', 'snappy', 'lz4', ...(zlib.zstdCompressSync ? ['zstd'] : [])]
const HEADERS_BY_NAME = headers => new Map(headers.map(([name, value]) => [Buffer.from(name), value]))

function plain (message) {
  return {
    partition: message.partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key,
    value: message.value ?? null,
    headers: message.headerEntries.map(([name, value]) => [name.toString(), value])
  }
}

async function produce (base, topic, records, compression, from, to) {
  const producer = new Producer({ ...base, clientId: 'producer', idempotent: true, acks: -1, autocreateTopics: false })
  for (let n = from; n < to; n += 1000) {
    const messages = []
    for (let m = n; m < Math.min(n + 1000, to); m++) {
      messages.push({ topic, key: records.key(m), value: records.value(m), headers: HEADERS_BY_NAME(records.headers(m)), timestamp: BigInt(records.timestamp(m)) })
    }
    await producer.send({ messages, compression })
  }
  await producer.close()
}

let started = 0

async function startMember (base, topic, groupId, checker) {
  const consumer = new Consumer({ ...base, clientId: `m${started++}`, groupId, sessionTimeout: 20_000, rebalanceTimeout: 20_000, heartbeatInterval: 300, maxWaitTime: 100 })
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', autocommit: false })
  const positions = new Map()
  let leaving = false
  const partitions = () => consumer.assignments?.find(a => a.topic === topic)?.partitions ?? []
  const member = {
    error: null,
    get owned () { return partitions().length },
    async commit () {
      const offsets = [...positions].map(([partition, offset]) => ({ topic, partition, offset, leaderEpoch: -1 }))
      positions.clear()
      if (offsets.length) await consumer.commit({ offsets })
    },
    async leave () {
      leaving = true
      await member.commit()
      await stream.close()
      await consumer.close()
    }
  }
  stream.on('error', error => { member.error = error })
  // A member that leaves in the middle of a rebalance gives up the join that it has under way, and says so.
  consumer.on('error', error => { if (!leaving) member.error = error })
  stream.on('data', message => {
    // A fetch that was under way when the partition moved still delivers; the new owner gets the same records.
    if (!partitions().includes(message.partition)) return
    try {
      checker.accept(plain(message))
      positions.set(message.partition, message.offset + 1n)
    } catch (error) {
      member.error ??= error
    }
  })
  return member
}

async function groupOf (members, sizes, admin, groupId) {
  await waitFor(`${sizes} partitions`, () => {
    for (const member of members) if (member.error) throw member.error
    return members.map(member => member.owned).sort().join() === sizes
  })
  await waitFor(`a stable group of ${members.length}`, async () => {
    const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId)
    return group.state === 'Stable' && group.members.size === members.length
  })
}

async function consumed (members, checker, count) {
  await waitFor(`${count} records`, () => {
    for (const member of members) if (member.error) throw member.error
    return checker.seen.size === count
  })
  await Promise.all(members.map(member => member.commit()))
}

main('platformatic', async (bootstrap, topic) => {
  const base = { bootstrapBrokers: bootstrap.split(','), retries: 10, retryDelay: 100, strict: true }
  const groupId = `g-${topic}`
  const records = new Records(CODECS)
  const admin = new Admin({ ...base, clientId: 'admin' })
  const cluster = await admin.metadata({ topics: [] })
  check(cluster.brokers.size === 3 && cluster.id && cluster.controllerId > 0, () => JSON.stringify(cluster))
  const [created] = await admin.createTopics({ topics: [topic], partitions: PARTITIONS, replicas: REPLICAS, configs: [{ name: 'retention.ms', value: '86400000' }] })
  check(created.partitions === PARTITIONS && created.replicas === REPLICAS, () => JSON.stringify(created))
  await admin.createTopics({ topics: [topic] }).then(() => check(false, 'the topic was created twice'), error => {
    check(JSON.stringify(error.errors?.map(e => e.apiId ?? e.errors?.map(x => x.apiId))).includes('TOPIC_ALREADY_EXISTS'), () => `created twice: ${error.message}`)
  })
  await waitFor('in-sync replicas', async () => {
    const { partitions } = (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
    return partitions.length === PARTITIONS && partitions.every(p => p.leader > 0 && p.replicas.length === REPLICAS && p.isr.length === REPLICAS)
  })

  const checker = new Checker(records)
  const start = () => startMember(base, topic, groupId, checker)
  const members = [await start(), await start(), await start()]
  await groupOf(members, '2,2,2', admin, groupId)
  for (const [c, codec] of CODECS.entries()) {
    await produce(base, topic, records, codec, c * PER_CODEC, (c + 1) * PER_CODEC)
    await consumed(members, checker, (c + 1) * PER_CODEC)
    if (c === 0) {
      members.push(await start())
      await groupOf(members, '1,1,2,2', admin, groupId)
    } else if (c === 1) {
      for (const member of members.splice(0, 2)) await member.leave()
      await groupOf(members, '3,3', admin, groupId)
    }
  }
  for (const member of members) await member.leave()
  const committed = async ends => {
    const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
    for (const { partitionIndex: p, committedOffset } of group.topics[0].partitions) check(Number(committedOffset) === ends.get(p), () => `committed ${committedOffset} of ${p}`)
    check(group.topics[0].partitions.length === PARTITIONS, 'a partition without a commit')
  }
  await committed(checker.next)

  await produce(base, topic, records, 'none', records.total, records.total + RESUMED)
  const resumed = new Checker(records, records.total, records.total + RESUMED)
  resumed.next = new Map(checker.next)
  const last = await startMember(base, topic, groupId, resumed)
  await consumed([last], resumed, RESUMED)
  await last.leave()
  const ends = resumed.next
  await committed(ends)

  await seekAndLookUp(base, admin, topic, records, checker, ends)
  await describe(admin, topic, groupId)
  return `records=${records.total + RESUMED} codecs=${CODECS.length}`
})

async function offsetsAt (admin, topic, timestamp) {
  const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({ partitionIndex, timestamp: BigInt(timestamp) }))
  const [answer] = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
  return new Map(answer.partitions.map(p => [p.partitionIndex, Number(p.offset)]))
}

async function seekAndLookUp (base, admin, topic, records, checker, ends) {
  const middle = records.total / 2
  for (const [p, offset] of await offsetsAt(admin, topic, records.timestamp(middle))) {
    check(offset === checker.offsetAt(p, middle), () => `timestamp: ${p} is ${offset}, not ${checker.offsetAt(p, middle)}`)
  }
  for (const [p, offset] of await offsetsAt(admin, topic, ListOffsetTimestamps.LATEST)) check(offset === ends.get(p), () => `latest of ${p}: ${offset}`)
  for (const [p, offset] of await offsetsAt(admin, topic, ListOffsetTimestamps.EARLIEST)) check(offset === 0, () => `earliest of ${p}: ${offset}`)
  for (const divisor of [2, 3]) {
    const consumer = new Consumer({ ...base, clientId: 'seeker', groupId: `seek-${topic}`, maxWaitTime: 100 })
    const starts = new Map([...ends].map(([p, end]) => [p, Math.floor(end / divisor)]))
    const offsets = [...starts].map(([partition, offset]) => ({ topic, partition, offset: BigInt(offset) }))
    const stream = await consumer.consume({ topics: [topic], mode: 'manual', offsets, autocommit: false })
    const got = new Map([...starts.keys()].map(p => [p, 0]))
    let failed = null
    stream.on('error', error => { failed = error })
    stream.on('data', message => {
      const { partition: p, offset, headers } = plain(message)
      if (got.get(p) === 10) return
      const wanted = starts.get(p) + got.get(p)
      if (offset !== wanted || number(headers) !== checker.numberAt(p, wanted)) failed ??= new Error(`seek ${p}-${wanted}: ${offset}`)
      got.set(p, got.get(p) + 1)
    })
    await waitFor('records after seek', () => { if (failed) throw failed; return [...got.values()].every(count => count === 10) })
    await stream.close()
    await consumer.close()
  }
}

async function describe (admin, topic, groupId) {
  check((await admin.listTopics()).includes(topic), 'topic not listed')
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }
  const config = async name => (await admin.describeConfigs({ resources: [resource] }))[0].configs.find(c => c.name === name).value
  check(await config('retention.ms') === '86400000', 'retention.ms')
  await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [{ name: 'max.message.bytes', value: '2000000', configOperation: IncrementalAlterConfigOperationTypes.SET }] }] })
  await waitFor('the changed config', async () => await config('max.message.bytes') === '2000000')
  check((await admin.listGroups()).has(groupId), 'group not listed')
  check((await admin.describeGroups({ groups: [groupId] })).get(groupId).state === 'Empty', 'the group is not empty')
  const dirs = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0, 1, 2, 3, 4, 5] }] })
  check(dirs.length === 3, () => JSON.stringify(dirs))
  await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 7n }] }] })
  await admin.deleteConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionIndexes: [1] }] })
  const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
  const left = new Map(group.topics[0].partitions.map(p => [p.partitionIndex, Number(p.committedOffset)]))
  check(left.get(0) === 7 && (left.get(1) ?? -1) === -1, () => JSON.stringify([...left]))
  const [deleted] = await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 1, offset: 100n }] }] })
  check(deleted.partitions[0].lowWatermark === 100n, 'low watermark')
  await admin.createPartitions({ topics: [{ name: topic, count: PARTITIONS + 1, assignments: [{ brokerIds: [3, 1, 2] }] }] })
  await waitFor('a seventh partition', async () => (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic).partitions.length === PARTITIONS + 1)
  await admin.deleteGroups({ groups: [groupId, `seek-${topic}`] })
  await admin.deleteTopics({ topics: [topic] })
  await waitFor('the topic to be gone', async () => !(await admin.listTopics()).includes(topic))
  await admin.close()
}
