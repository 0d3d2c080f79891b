// What the Node programs share: the records (the same in every language, see ../README.md), the checker, the
// choreography of a group, and the deadline.

export const PER_CODEC = 20_000
export const PARTITIONS = 6
export const REPLICAS = 3
export const RESUMED = 500
const WAIT_MS = 100_000

export function check (condition, message) {
  if (!condition) throw new Error(typeof message === 'function' ? message() : message)
}

export async function waitFor (what, condition) {
  const end = Date.now() + WAIT_MS
  while (true) {
    const value = await condition()
    if (value) return value
    check(Date.now() < end, () => `waited ${WAIT_MS / 1000} s in vain for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

/** Record number n, as key, value, headers and timestamp. */
export class Records {
  constructor (codecs) {
    this.codecs = codecs
    this.total = PER_CODEC * codecs.length
    this.base = Date.now() - 600_000
    this.ramps = Array.from({ length: 256 }, (_, n) => Buffer.from(Array.from({ length: 129 }, (_, j) => (n + 31 * j) & 255)))
  }

  key (n) {
    return Buffer.from(`key-${String(n % 997).padStart(3, '0')}`)
  }

  value (n) {
    if (n % 1000 === 999) return null
    if (n % 1000 === 500) return Buffer.alloc(0)
    return this.ramps[n & 255].subarray(0, 16 + (n % 113))
  }

  headers (n) {
    const codec = this.codecs[Math.min(Math.floor(n / PER_CODEC), this.codecs.length - 1)]
    return [['seq', Buffer.from(String(n))], ['codec', Buffer.from(codec)], ['bin', Buffer.from([0, 255, n & 255])],
      ['empty', Buffer.alloc(0)]]
  }

  timestamp (n) {
    return this.base + n
  }
}

/** Every record once, byte for byte, in order within its key and without a gap within its partition. */
export class Checker {
  constructor (records, first = 0, last = records.total) {
    this.records = records
    this.first = first
    this.expected = last - first
    this.seen = new Set()
    this.next = new Map()
    this.lastOfKey = new Map()
    this.homeOfKey = new Map()
    this.where = new Map()
  }

  // key, value: Buffer or null; headers: [[name, Buffer], …]; offset, timestamp: number
  accept ({ partition, offset, timestamp, key, value, headers }) {
    const n = number(headers)
    check(key.equals(this.records.key(n)), () => `record ${n}: key ${key}`)
    const wanted = this.records.value(n)
    check(wanted === null ? value === null : value?.equals(wanted), () => `record ${n}: value ${value?.toString('hex')}`)
    const names = this.records.headers(n)
    const same = headers.length === names.length && names.every(([name, bytes], i) => headers[i][0] === name && bytes.equals(headers[i][1]))
    check(same, () => `record ${n}: headers ${headers}`)
    check(timestamp === this.records.timestamp(n), () => `record ${n}: timestamp ${timestamp}`)
    check(n >= this.first, () => `record ${n} belongs to what was committed before`)
    check(!this.seen.has(n), () => `record ${n} came twice (${partition}-${offset})`)
    this.seen.add(n)
    const next = this.next.get(partition) ?? offset
    check(offset === next, () => `partition ${partition}: offset ${offset}, not ${next}`)
    this.next.set(partition, offset + 1)
    const name = key.toString()
    check((this.lastOfKey.get(name) ?? -1) < n, () => `key ${name}: ${n} after ${this.lastOfKey.get(name)}`)
    this.lastOfKey.set(name, n)
    check((this.homeOfKey.get(name) ?? partition) === partition, () => `key ${name} in two partitions`)
    this.homeOfKey.set(name, partition)
    if (!this.where.has(partition)) this.where.set(partition, new Map())
    this.where.get(partition).set(offset, n)
  }

  get complete () {
    return this.seen.size === this.expected
  }

  numberAt (partition, offset) {
    return this.where.get(partition).get(offset)
  }

  /** The first offset of a partition whose record is n or later. */
  offsetAt (partition, n) {
    let first = Infinity
    for (const [offset, m] of this.where.get(partition)) if (m >= n && offset < first) first = offset
    return first
  }
}

export function number (headers) {
  return Number(headers.find(([name]) => name === 'seq')[1].toString())
}

/** A group of three that grows to four and shrinks to two while the records flow. */
export async function dance (start, checker, stable) {
  const members = []
  const settled = sizes => () => {
    for (const member of members) if (member.error) throw member.error
    return members.map(member => member.owned).sort().join() === sizes
  }
  const reached = count => () => settled('')() || checker.seen.size >= count
  for (let i = 0; i < 3; i++) members.push(await start(i))
  await waitFor('2+2+2 partitions', settled('2,2,2'))
  await waitFor('a quarter of the records', reached(checker.expected / 4))
  members.push(await start(3))
  await waitFor('1+1+2+2 partitions', settled('1,1,2,2'))
  await stable()
  await waitFor('half of the records', reached(checker.expected / 2))
  for (const member of members.splice(0, 2)) await member.leave()
  await waitFor('3+3 partitions', settled('3,3'))
  await waitFor('all records', reached(checker.expected))
  for (const member of members) await member.leave()
}

export function main (name, body) {
  const started = Date.now()
  const deadline = Number(process.env.KLAMM_CLIENT_DEADLINE ?? 200)
  const finish = (code, line) => process.stdout.write(line + '\n', () => process.exit(code))
  const fail = error => {
    console.error(error)
    finish(1, `FAIL ${name}: ${error.message ?? error}`.replaceAll('\n', ' '))
  }
  setTimeout(() => fail(new Error(`not done after ${deadline} s`)), deadline * 1000).unref()
  for (const event of ['unhandledRejection', 'uncaughtException']) {
    process.on(event, error => {
      console.error(event)
      fail(error)
    })
  }
  body(process.argv[2], `${name}-${process.pid}-${started % 1_000_000}`).then(report => {
    finish(0, `OK ${name} ${report} seconds=${(Date.now() - started) / 1000}`)
  }, fail)
}
