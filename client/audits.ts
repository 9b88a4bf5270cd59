import { isFleetLog, type Head } from "./anchors.js";
import { openArchive, type Archive, type ArchivedBatches } from "./archives.js";
import { requireBlock, requireHex, requireUint } from "./arguments.js";
import { EVIDENCE_CODES, findingOf, type Finding } from "./audit-findings.js";
import { blockAt, latestBlock, type BlockPlace } from "./blocks.js";
import type { Touchstone } from "./connect.js";
import { TouchstoneError } from "./errors.js";
import { readEvents, readKeyRotations } from "./events.js";
import { createLogReplay, type AuthorChange, type Expectations, type Totals } from "./log-replays.js";
import { ask } from "./reverts.js";

export type { ArchivedBatch, ArchivedBatches, ArchivedReading } from "./archives.js";
export {
  EVIDENCE_CODES,
  type AnchorRule,
  type Finding,
  type FindingCode,
  type FindingFigures,
  type Severity,
} from "./audit-findings.js";
export type { BlockPlace } from "./blocks.js";
export type { Expectations, Totals } from "./log-replays.js";

/** How far an audit has come. */
export interface AuditProgress {
  /** Number of anchors read. */
  anchors: bigint;
  /** Number of the latest block that was read. */
  block: number;
  toBlock: number;
}

export interface AuditOptions {
  touchstone: Touchstone;
  /** 32 bytes as 0x hex. */
  logId: string;
  expectations?: Expectations;
  /** Number of the block to audit at; the latest unless told. The node must still have its state. */
  toBlock?: number;
  /** The readings that were kept, to be compared with what was anchored. */
  batches?: ArchivedBatches;
  /** The same contracts at other nodes, which must agree on the block, and on the log's root and head there. */
  witnesses?: readonly Touchstone[];
  signal?: AbortSignal;
  /** Called for each page of blocks. */
  onProgress?: (progress: AuditProgress) => void;
}

/** What an audit found out about a log. */
export interface LogAudit extends Totals {
  /** As lower-case hex. */
  logId: string;
  /** The block at which all was read. */
  block: BlockPlace;
  /** Where the log ended there. */
  log: Head;
  /** The log's RFC 9162 root there. */
  root: string;
  /** Whether the anchors are those of which the root and the head are; if not, no total and no finding can be relied on. */
  isProven: boolean;
  /** In the order of the log; what no anchor shows is at the end. */
  findings: Finding[];
}

/**
 * Audits a log: replays all of its anchors by the rules of the contract, rebuilds the tree over them, and compares it with the root
 * and the head that the contract has. A node that withholds, alters or invents anchors is found out; one that lies about the
 * contract's state as well agrees with itself, and only witnesses, or a proof of the state against a block hash that is trusted,
 * tell. All is read at one block.
 *
 * @throws TouchstoneError INVALID_ARGUMENT, NOT_FOUND (no such block), CHAIN_REORGANISED (another block has that number now),
 *         CHAIN_UNREACHABLE, RPC_FAILED, CANCELLED.
 */
export async function auditLog(options: AuditOptions): Promise<LogAudit> {
  const { touchstone, expectations = {}, onProgress, signal } = options;
  const logId = requireHex("logId", options.logId, 32).toLowerCase();
  requireExpectations(expectations);
  const archive = options.batches === undefined ? NO_ARCHIVE : openArchive({ logId, batches: options.batches });
  const toBlock = requireBlock("toBlock", options.toBlock ?? (await latestBlock(touchstone.provider)));
  const block = await blockAt(touchstone.provider, toBlock);
  const { head, root } = await stateOf(touchstone, logId, toBlock);

  const replay = createLogReplay({ logId, expectations });
  const findings: Finding[] = [];
  const conflicts = new Set<string>();
  let anchors = 0n;
  const range = {
    logs: [logId],
    toBlock,
    onPage: (page: { toBlock: number }) => onProgress?.({ anchors, block: page.toBlock, toBlock }),
    ...(signal === undefined ? {} : { signal }),
  };
  for await (const event of readEvents({ touchstone, ...range })) {
    if (event.cursor.block === toBlock && event.blockHash !== block.hash) throw reorganised(block, event.blockHash);
    if (event.name === "Equivocated" && event.args.logId === logId) {
      const { index, keyId, firstDigest, secondDigest } = event.args;
      // Anyone may report the same again, either way round.
      const pair = [String(index), ...[firstDigest, secondDigest].toSorted()].join("/");
      if (conflicts.has(pair)) continue;
      conflicts.add(pair);
      findings.push(findingOf("Conflicting", index, { key: keyId, firstDigest, secondDigest }));
    }
    if (event.name !== "Anchored") continue;
    const record = replay.take(event);
    if (record === undefined) continue;
    anchors += 1n;
    findings.push(...(await archive.compare(record)));
  }
  const { totals, findings: replayed, authors } = replay.finish({ block, head, root });
  const byAuthors = await checkAuthors({ touchstone, logId, authors, toBlock, signal });
  const witnessed: Finding[] = [];
  for (const [witness, other] of (options.witnesses ?? []).entries()) {
    witnessed.push(...(await askWitness({ witness, other, logId, block, head, root })));
  }
  await requireUnchanged(touchstone, block);
  const all = [...findings, ...replayed, ...archive.finish(), ...byAuthors, ...witnessed];
  return {
    logId,
    block,
    log: head,
    root,
    ...totals,
    isProven: !all.some(({ code }) => EVIDENCE_CODES.includes(code)),
    findings: all.sort(byIndex),
  };
}

// ------------------------------------------------------------------ private

const NO_ARCHIVE: Archive = { compare: () => Promise.resolve([]), finish: () => [] };

async function stateOf(touchstone: Touchstone, logId: string, block: number): Promise<{ head: Head; root: string }> {
  const at = { blockTag: block };
  const [{ nextSeq, size, lastMeasured, lastAnchored }, root] = await Promise.all([
    ask(() => touchstone.dataAnchor.head(logId, at)),
    ask(() => touchstone.dataAnchor.root(logId, at)),
  ]);
  return { head: { nextSeq, size, lastMeasured, lastAnchored }, root };
}

/** The key that appends to a device's log must be the one that the registry had put in place by then. */
async function checkAuthors(options: {
  touchstone: Touchstone;
  logId: string;
  authors: readonly AuthorChange[];
  toBlock: number;
  signal: AbortSignal | undefined;
}): Promise<Finding[]> {
  const { touchstone, logId, authors, toBlock, signal } = options;
  const findings: Finding[] = [];
  if (isFleetLog(logId)) {
    for (const { index, from, to } of authors) {
      if (from !== undefined) findings.push(findingOf("AuthorChanged", index, { from, to, rotatedIn: undefined }));
    }
    return findings;
  }
  const device = logId.slice(0, 42);
  const isChanged = authors.some(({ from, to }) => from !== undefined || to.toLowerCase() !== device);
  const rotations: { newKey: string; block: number }[] = [];
  if (isChanged) {
    const range = { device, toBlock, ...(signal === undefined ? {} : { signal }) };
    for await (const { args, cursor } of readKeyRotations({ touchstone, ...range })) {
      rotations.push({ newKey: args.newKey, block: cursor.block });
    }
  }
  for (const { index, from, to, afterBlock, block } of authors) {
    if (from === undefined && to.toLowerCase() === device) continue;
    // Blocks may hold a rotation and anchors before and after it.
    const rotation = rotations.findLast(
      (other) => other.newKey === to && other.block >= afterBlock && other.block <= block,
    );
    if (from === undefined && rotation !== undefined) continue;
    const figures = { from: from ?? device, to, rotatedIn: rotation?.block };
    findings.push(findingOf("AuthorChanged", index, figures, rotation === undefined ? "error" : "warning"));
  }
  return findings;
}

async function askWitness(options: {
  witness: number;
  other: Touchstone;
  logId: string;
  block: BlockPlace;
  head: Head;
  root: string;
}): Promise<Finding[]> {
  const { witness, other, logId, block } = options;
  const [{ hash }, state] = await Promise.all([
    blockAt(other.provider, block.number),
    stateOf(other, logId, block.number),
  ]);
  const answers = [
    ["hash", block.hash, hash],
    ["root", options.root, state.root],
    ["head", shownHead(options.head), shownHead(state.head)],
  ] as const;
  const differing = answers.find(([, expected, given]) => expected !== given);
  if (differing === undefined) return [];
  const [field, expected, given] = differing;
  return [findingOf("ProvidersDisagree", undefined, { witness, field, expected, given })];
}

function shownHead({ nextSeq, size, lastMeasured, lastAnchored }: Head): string {
  return `nextSeq ${nextSeq}, size ${size}, lastMeasured ${lastMeasured}, lastAnchored ${lastAnchored}`;
}

function byIndex(a: Finding, b: Finding): number {
  if (a.index === b.index) return 0;
  if (a.index === undefined || b.index === undefined) return a.index === undefined ? 1 : -1;
  return a.index < b.index ? -1 : 1;
}

async function requireUnchanged(touchstone: Touchstone, block: BlockPlace): Promise<void> {
  const again = await blockAt(touchstone.provider, block.number).catch((error: unknown) => {
    if (error instanceof TouchstoneError && error.code === "NOT_FOUND") return undefined;
    throw error;
  });
  if (again?.hash !== block.hash) throw reorganised(block, again?.hash ?? "gone");
}

function reorganised(block: BlockPlace, found: string): TouchstoneError {
  return new TouchstoneError(
    "CHAIN_REORGANISED",
    `Block ${block.number} was ${block.hash} when the audit began, and is ${found} now: audit again, or at an earlier block.`,
    { details: { block: block.number, began: block.hash, found } },
  );
}

function requireExpectations({ longestSilence, longestPause, latestAfter, longestAhead }: Expectations): void {
  for (const [name, value] of Object.entries({ longestSilence, longestPause, latestAfter, longestAhead })) {
    if (value !== undefined) requireUint(name, value, 64);
  }
}
