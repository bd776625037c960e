// Verifies a receipt of Rhone: `node rhone-verify.ts FILE [--head FILE] [--key FILE]`, with no network.
// A second reader of the format in docs/receipts.md, written from it: Node's own modules only, no build step.

import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { readFileSync } from 'node:fs';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Fields = { [name: string]: any };
export type Fault = { where: string; what: string };
export type Report = { ok: boolean; faults: Fault[]; notes: string[]; records: number };
export type Keyring = { keys: { [id: string]: string }; revoked?: { [id: string]: string } };

const FORMAT = 'rhone.receipt.1';
const FIRST = 'sha256:' + '0'.repeat(64);
const NEEDED = ['format', 'run_id', 'complete', 'evidence', 'policies', 'records', 'payloads', 'keys'];
const OPTIONAL = ['snapshot', 'head', 'log'];
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

// RFC 8785

export function canonical(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') {
    if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)) {
      throw new Error('a lone surrogate');
    }
    return JSON.stringify(value);
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error('not a number of JSON');
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return '[' + value.map(canonical).join(',') + ']';
  const names = Object.keys(value).sort(); // by UTF-16 code units, as the RFC asks
  return '{' + names.map((name) => canonical(name) + ':' + canonical(value[name])).join(',') + '}';
}

/** Strict JSON that is its own canonical form: what is written twice, or otherwise, differs from it. */
export function parse(data: Buffer): Json {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  const bare = (key: string, item: any): any =>
    item !== null && typeof item === 'object' && !Array.isArray(item)
      ? Object.assign(Object.create(null), item)
      : item;
  const value = JSON.parse(text, bare);
  const again = Buffer.from(canonical(value));
  if (!again.equals(data)) {
    let place = 0;
    while (place < Math.min(again.length, data.length) && again[place] === data[place]) place += 1;
    throw new Error(`byte ${place}: not in canonical form`);
  }
  return value;
}

// hashes

const sha256 = (...parts: (Buffer | string)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const named = (raw: Buffer): string => 'sha256:' + raw.toString('hex');
const digest = (text: string): string => named(sha256(text));
const recordHash = (record: Json): string => named(sha256('rhone.receipt.record.1\0', canonical(record)));
const node = (left: Buffer, right: Buffer): Buffer => sha256(Buffer.of(1), left, right);

function payloadDigest(salt: string, value: Json): string {
  const raw = Buffer.from(salt, 'hex');
  if (raw.toString('hex') !== salt) throw new Error('the salt is not written in hex');
  return named(sha256('rhone.receipt.payload.1\0', raw, canonical(value)));
}

function raw(text: string): Buffer {
  const found = Buffer.from(text.slice('sha256:'.length), 'hex');
  if (named(found) !== text || found.length !== 32) throw new Error(`${text} is not a SHA-256 digest`);
  return found;
}

/** RFC 9162, 2.1.3.2: the root that a proof leads to from a leaf. */
export function included(leaf: Buffer, position: number, size: number, proof: Buffer[]): Buffer | null {
  if (!Number.isInteger(position) || position < 0 || position >= size) return null;
  let [left, last, found] = [position, size - 1, leaf];
  const half = (n: number): number => Math.floor(n / 2);
  for (const step of proof) {
    if (last === 0) return null;
    if (left % 2 === 1 || left === last) {
      found = node(step, found);
      while (left % 2 === 0 && left !== 0) [left, last] = [half(left), half(last)];
    } else {
      found = node(found, step);
    }
    [left, last] = [half(left), half(last)];
  }
  return last === 0 ? found : null;
}

/** RFC 9162, 2.1.4.2: the roots over the first leaves and over all of them that a proof leads to. */
export function grown(first: number, second: number, root: Buffer, proof: Buffer[]): [Buffer, Buffer] | null {
  if (!Number.isInteger(first) || first <= 0 || first > second) return null;
  if (first === second) return proof.length === 0 ? [root, root] : null;
  let power = first;
  while (power % 2 === 0) power /= 2;
  const path = power === 1 ? [root, ...proof] : [...proof];
  const half = (n: number): number => Math.floor(n / 2);
  let [left, last] = [first - 1, second - 1];
  while (left % 2 === 1) [left, last] = [half(left), half(last)];
  if (path.length === 0) return null;
  let [before, now] = [path[0], path[0]];
  for (const step of path.slice(1)) {
    if (last === 0) return null;
    if (left % 2 === 1 || left === last) {
      [before, now] = [node(step, before), node(step, now)];
      while (left % 2 === 0 && left !== 0) [left, last] = [half(left), half(last)];
    } else {
      now = node(now, step);
    }
    [left, last] = [half(left), half(last)];
  }
  return last === 0 ? [before, now] : null;
}

// what is checked

class Verifier {
  report: Report = { ok: true, faults: [], notes: [], records: 0 };
  records: Fields[] = [];
  hashes: string[] = [];
  keys: { [id: string]: string };
  bundle: Fields;
  keyring: Keyring | null;
  saved: Fields | null;

  constructor(bundle: Fields, keyring: Keyring | null, saved: Fields | null) {
    this.bundle = bundle;
    this.keyring = keyring;
    this.saved = saved;
    this.keys = keyring ? keyring.keys : {};
  }

  run(): Report {
    const checks: [string, () => void][] = [
      ['', () => this.shape()],
      ['records', () => this.chain()],
      ['payloads', () => this.payloads()],
      ['keys', () => this.keyNames()],
      ['snapshot', () => this.snapshot()],
      ['evidence', () => this.evidence()],
      ['policies', () => this.policies()],
      ['head', () => this.head()],
      ['log', () => this.log()],
      ['saved head', () => this.savedHead()],
      ['records', () => this.authority()],
      ['records', () => this.gates()],
      ['snapshot', () => this.resolution()],
    ];
    for (const [where, check] of checks) {
      try {
        check();
      } catch (error) {
        this.fault(where, `cannot be read: ${(error as Error).message}`);
      }
      if (where === '' && this.report.faults.length > 0) break;
    }
    this.note('the policy was not asked again: its engine is not here');
    this.report.records = this.records.length;
    this.report.ok = this.report.faults.length === 0;
    return this.report;
  }

  fault(where: string, what: string): void {
    this.report.faults.push({ where, what });
  }

  note(text: string): void {
    if (!this.report.notes.includes(text)) this.report.notes.push(text);
  }

  shape(): void {
    const names = Object.keys(this.bundle);
    for (const name of NEEDED) if (!names.includes(name)) this.fault(name, 'is missing');
    for (const name of names) {
      if (![...NEEDED, ...OPTIONAL].includes(name)) this.fault(name, 'is not a part of a receipt');
    }
    if (this.bundle.format !== FORMAT) this.fault('format', `is not ${FORMAT}`);
  }

  chain(): void {
    this.records = list(this.bundle.records);
    this.hashes = this.records.map((record) => recordHash(record as Json));
    const head = this.bundle.head ? this.bundle.head.statement.hash : null;
    const ends = [...this.records.slice(1).map((record) => record.prev), head];
    const broken = new Set<number>();
    this.hashes.forEach((hash, index) => {
      if (ends[index] !== null && ends[index] !== hash) broken.add(index);
    });
    if (this.records.length > 0 && this.records[0].prev !== FIRST) broken.add(0);
    for (const index of broken) {
      if (!broken.has(index + 1)) {
        this.fault(`records[${index}]`, 'is not what the next one, or the signed head, names');
      }
    }
    this.records.forEach((record, index) => this.record(index, record));
    const ended = this.records.some((record) => record.kind === 'end');
    if (this.bundle.complete !== ended) this.fault('complete', 'does not fit the records');
    if (!this.bundle.complete) this.note('the run had not ended: this is a part of its receipt');
  }

  record(index: number, record: Fields): void {
    const where = `records[${index}]`;
    const known = ['version', 'run_id', 'ordinal', 'prev', 'kind', 'at', 'body', 'payload'];
    if (Object.keys(record).some((name) => !known.includes(name)) || record.version !== 1) {
      this.fault(where, 'is not a record of version 1');
    }
    if (record.ordinal !== index + 1) this.fault(where, `has the number ${record.ordinal}`);
    if (record.run_id !== this.bundle.run_id) this.fault(where, `is of another run, ${record.run_id}`);
  }

  payloads(): void {
    const kept = this.bundle.payloads;
    const names = new Map(this.records.filter((r) => 'payload' in r).map((r) => [String(r.ordinal), r]));
    for (const name of Object.keys(kept)) {
      if (!names.has(name)) this.fault(`payloads.${name}`, 'stands for no record');
    }
    let erased = 0;
    for (const [name, record] of names) {
      if (!(name in kept)) this.fault(`payloads.${name}`, 'is missing');
      else if (kept[name] === null) erased += 1;
      else if (payloadDigest(kept[name].salt, kept[name].value) !== record.payload) {
        this.fault(`payloads.${name}`, 'is not what its record names');
      } else if (Object.keys(kept[name]).length !== 2) this.fault(`payloads.${name}`, 'has more parts');
    }
    if (erased > 0) this.note(`${erased} payloads have been erased`);
  }

  keyNames(): void {
    for (const [name, text] of Object.entries(this.bundle.keys as { [id: string]: string })) {
      if (sha256(bytes(text)).toString('hex').slice(0, 16) !== name) {
        this.fault(`keys.${name}`, 'is not the key that its name says');
      }
    }
    if (this.keyring === null) {
      this.keys = this.bundle.keys;
      this.note("the keys are the receipt's own: --key says whom you trust");
    }
  }

  signed(where: string, id: string, message: string, signature: string, at: string): void {
    if (!(id in this.keys)) {
      this.fault(where, `is signed with the key ${id}, which is not trusted`);
      return;
    }
    const der = Buffer.concat([SPKI_ED25519, bytes(this.keys[id])]);
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    if (!verifySignature(null, Buffer.from(message), key, bytes(signature))) {
      this.fault(where, `the signature of ${id} does not fit`);
    }
    const since = this.keyring?.revoked?.[id];
    if (since !== undefined && at >= since) {
      this.fault(where, `was signed at ${at} with the key ${id}, revoked since ${since}`);
    }
  }

  snapshot(): void {
    const told = this.records.filter((record) => record.kind === 'snapshot');
    const kept = this.bundle.snapshot;
    if (kept === undefined) {
      if (told.length > 0) this.fault('snapshot', 'is missing');
      return;
    }
    const body = canonical(kept.document);
    if (digest(body) !== kept.digest) this.fault('snapshot.document', 'is not what its digest names');
    const said = told.length === 1 ? told[0].body : {};
    const same = ['digest', 'key_id', 'signature'].every((name) => said[name] === kept[name]);
    if (!same || said.snapshot_id !== kept.id || Object.keys(kept).length !== 5) {
      this.fault('snapshot', 'is not the one that the chain names');
      return;
    }
    if (kept.document.run_id !== this.bundle.run_id) this.fault('snapshot.document.run_id', 'is another run');
    this.signed('snapshot', kept.key_id, body, kept.signature, told[0].at);
    if (kept.document.policy_digest !== said.policy_digest) {
      this.fault('snapshot.document.policy_digest', 'is not the policy that the chain names');
    }
  }

  evidence(): void {
    const told = this.records.filter((record) => record.kind === 'evidence');
    const kept = list(this.bundle.evidence);
    if (told.length !== kept.length) this.fault('evidence', `${kept.length} are here, not ${told.length}`);
    let before = kept.length > 0 ? this.bundle.snapshot.digest : null;
    kept.slice(0, told.length).forEach((row, index) => {
      const where = `evidence[${index}]`;
      const said = told[index].body;
      if (said.number !== row.ordinal || said.digest !== row.digest) {
        this.fault(where, 'is not the one that the chain names');
      }
      const { digest: own, ...covered } = row;
      if (digest(canonical(covered)) !== own) this.fault(where, 'is not what its digest names');
      if (row.previous !== before) this.fault(where, 'does not follow the one before it');
      before = own;
    });
  }

  policies(): void {
    const kept: { [digest: string]: string } = this.bundle.policies;
    const decided = this.records.filter((record) => ['gate', 'snapshot'].includes(record.kind));
    const names = new Set(decided.map((record) => record.body.policy_digest));
    for (const name of names) if (!(name in kept)) this.fault(`policies.${name}`, 'is missing');
    for (const [name, text] of Object.entries(kept)) {
      if (!names.has(name)) this.fault(`policies.${name}`, 'is named by no record');
      if (digest(text) !== name) this.fault(`policies.${name}`, 'is not the text that its digest names');
    }
    const pinned = this.bundle.snapshot?.document.policy_digest;
    this.records.forEach((record, index) => {
      if (record.kind === 'gate' && record.body.policy_digest !== pinned) {
        this.fault(`records[${index}]`, "was decided by another policy than the snapshot's");
      }
    });
  }

  statement(where: string, signed: Fields, kind: string): Fields {
    const told = signed.statement;
    if (Object.keys(signed).length !== 2) this.fault(where, 'has parts that do not belong to it');
    if (told.type !== kind || told.alg !== 'Ed25519') {
      this.fault(where, `is ${told.type} signed with ${told.alg}, not ${kind}, Ed25519`);
      return told;
    }
    this.signed(where, told.key_id, canonical(told), signed.signature, told.at);
    return told;
  }

  head(): void {
    const head = this.bundle.head;
    if (head === undefined) {
      if (this.bundle.complete) this.fault('head', 'is missing: nobody has signed the end of this run');
      else this.note('the end of the chain is not signed');
      return;
    }
    const told = this.statement('head', head, 'rhone.receipt.run.1');
    if (told.run_id !== this.bundle.run_id || told.ordinal !== this.records.length) {
      this.fault('head', `is of record ${told.ordinal} of ${told.run_id}: records are cut or added`);
    } else if (told.hash !== this.hashes[this.hashes.length - 1]) {
      this.fault('head', 'does not name the last record');
    }
  }

  log(): void {
    const log = this.bundle.log;
    if (log === undefined) return;
    const others = (value: Json, known: string[]): boolean => Object.keys(value).some((name) => !known.includes(name));
    if (
      others(log, ['head', 'position', 'proof', 'earlier']) ||
      others(log.earlier ?? {}, ['size', 'root', 'proof'])
    ) {
      this.fault('log', 'has parts that do not belong to it');
    }
    const told = this.statement('log.head', log.head, 'rhone.receipt.log.1');
    const { hash, ordinal, run_id, project_id } = this.bundle.head.statement;
    const leaf = sha256(Buffer.of(0), canonical({ hash, ordinal, run_id }));
    const found = included(leaf, log.position, told.size, list(log.proof).map(raw as any));
    if (found === null || named(found) !== told.root || told.project_id !== project_id) {
      this.fault('log', "the head of this run is not in the project's log");
    }
    if (log.earlier === undefined) return;
    const { size, root, proof } = log.earlier;
    const roots = grown(size, told.size, raw(root), list(proof).map(raw as any));
    if (roots === null || named(roots[0]) !== root || named(roots[1]) !== told.root) {
      this.fault('log.earlier', 'the log did not grow out of that head: it is forked');
    }
  }

  savedHead(): void {
    if (this.saved === null) return;
    const told = this.statement('saved head', this.saved, this.saved.statement.type);
    if (told.type === 'rhone.receipt.run.1') {
      const last = `records[${told.ordinal - 1}]`;
      if (told.run_id !== this.bundle.run_id) this.fault('saved head', 'is of another run');
      else if (told.ordinal > this.records.length) {
        this.fault(`records[${this.records.length}]`, `the tail is cut: there were ${told.ordinal}`);
      } else if (told.hash !== this.hashes[told.ordinal - 1]) {
        this.fault(last, 'is not the one that the saved head names');
      }
      return;
    }
    const here = this.bundle.log?.head.statement;
    const earlier = this.bundle.log?.earlier;
    if (here === undefined || here.project_id !== told.project_id) {
      this.fault('saved head', 'is of a log in which this receipt does not stand');
    } else if (here.size === told.size) {
      if (here.root !== told.root) this.fault('log.head', 'two heads of one size differ: the log is forked');
    } else if (earlier === undefined || earlier.size !== told.size) {
      this.fault('saved head', `no proof from size ${told.size}: export with --head`);
    } else if (earlier.root !== told.root) {
      this.fault('log.earlier', `the log had another root at size ${told.size}: it is forked`);
    }
  }

  gates(): void {
    const grants: Fields[] = this.bundle.snapshot?.document.grants ?? [];
    this.records.forEach(({ kind, body, at }, index) => {
      if (kind !== 'gate') return;
      const wanted = expected(body, grants.find((grant) => grant.name === body.tool), at);
      if (STRICT.indexOf(body.answer) < STRICT.indexOf(wanted)) {
        this.fault(`records[${index}]`, `answers ${body.answer}, and grant and policy give ${wanted}`);
      }
    });
  }

  resolution(): void {
    const document = this.bundle.snapshot?.document;
    if (document === undefined) return;
    const told = this.records.find((record) => record.kind === 'snapshot');
    if (told === undefined) throw new Error('no record names it');
    const payload = this.bundle.payloads[String(told.ordinal)];
    if (payload === null || payload === undefined) return;
    const asked = new Map(list(payload.value.asked).map((one) => [one.question.tool, one]));
    const downgraded = list(document.downgrades).map((one) => one.name);
    list(document.grants).forEach((grant, index) => {
      const where = `snapshot.document.grants[${index}]`;
      const answer = asked.get(grant.name)?.verdict.answer ?? 'deny';
      const wanted = asked.get(grant.name)?.question.approval;
      if (answer === 'deny') this.fault(where, `${grant.name} was granted, and no verdict permits it`);
      else if (grant.approval === 'auto' && [answer, wanted].includes('ask')) {
        this.fault(where, `${grant.name} was granted unattended, and has to ask`);
      } else if ((wanted === 'auto' && grant.approval === 'ask') !== downgraded.includes(grant.name)) {
        this.fault(where, `the downgrade of ${grant.name} is missing, or is none`);
      }
    });
  }

  authority(): void {
    const allowed = new Set<string>();
    const asked = new Map<string, Fields>();
    const status = new Map<string, string>();
    const approved = new Map<string, Set<string>>();
    this.records.forEach(({ kind, body }, index) => {
      const where = `records[${index}]`;
      if (kind === 'gate' && body.answer === 'allow') allowed.add(body.tool_execution_id);
      if (kind === 'checkpoint') {
        status.set(body.checkpoint_id, body.status);
        if (body.status === 'open' && 'checkpoint_kind' in body) asked.set(body.checkpoint_id, body);
      }
      if (kind === 'decision' && body.decision === 'approve') {
        const voices = approved.get(body.checkpoint_id) ?? new Set<string>();
        approved.set(body.checkpoint_id, voices.add(body.by));
        if (body.envelope_digest !== asked.get(body.checkpoint_id)?.envelope_digest) {
          this.fault(where, 'approves another act than the checkpoint asks about');
        }
      }
      if (kind !== 'claim') return;
      if (body.approval === undefined) {
        if (!allowed.has(body.tool_execution_id)) this.fault(where, 'claims an effect that nothing allowed');
        return;
      }
      const act = asked.get(body.approval);
      const voices = approved.get(body.approval)?.size ?? 0;
      if (act?.tool_execution_id !== body.tool_execution_id) {
        this.fault(where, 'claims by an approval of another call');
      } else if (act?.envelope_digest !== body.envelope_digest) {
        this.fault(where, 'claims another act than the one that was approved');
      } else if (status.get(body.approval) !== 'redeemed' || voices < act!.required.count) {
        this.fault(where, 'claims without all its approvals');
      }
      allowed.add(body.tool_execution_id);
    });
  }
}

const STRICT = ['allow', 'ask', 'deny'];

/** The gate's answer from the grant and the recorded verdict; a stage after them may only be stricter. */
function expected(body: Fields, grant: Fields | undefined, at: string): string {
  if (grant === undefined || body.verdict === undefined || body.definition_digest === undefined) return 'deny';
  if (body.verdict.answer === 'deny' || (grant.expires_at ?? '~') <= at) return 'deny';
  const drifted = body.definition_digest !== grant.definition_digest;
  return drifted || [body.verdict.answer, grant.approval].includes('ask') ? 'ask' : 'allow';
}

function list(value: any): Fields[] {
  if (!Array.isArray(value)) throw new Error('is not a list');
  return value;
}

/** Base64 in its one form. */
function bytes(text: string): Buffer {
  const found = Buffer.from(text, 'base64');
  if (found.toString('base64') !== text) throw new Error('not base64');
  return found;
}

export function verify(data: Buffer, keyring: Keyring | null = null, saved: Fields | null = null): Report {
  let bundle: Fields;
  try {
    bundle = parse(data) as Fields;
    if (bundle === null || typeof bundle !== 'object' || Array.isArray(bundle)) throw new Error('is not an object');
  } catch (error) {
    const faults = [{ where: 'file', what: (error as Error).message }];
    return { ok: false, faults, notes: [], records: 0 };
  }
  return new Verifier(bundle, keyring, saved).run();
}

function main(words: string[]): number {
  const option = (name: string): any => {
    const at = words.indexOf(name);
    return at < 0 ? null : JSON.parse(readFileSync(words.splice(at, 2)[1], 'utf8'));
  };
  const [saved, keyring] = [option('--head'), option('--key')];
  let ok = true;
  for (const file of words) {
    const report = verify(readFileSync(file), keyring, saved);
    console.log(JSON.stringify({ file, ...report }));
    ok = ok && report.ok;
  }
  return ok ? 0 : 1;
}

if (import.meta.filename === process.argv[1]) process.exitCode = main(process.argv.slice(2));
