import { open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";

import { z } from "zod";

import { TouchstoneError } from "./errors.js";
import { lockFile } from "./file-locks.js";
import { fileError } from "./files.js";

// ------------------------------------------------------------------ records

const hex = z.string().regex(/^0x([0-9a-f]{2})*$/i);
const place = z.int().nonnegative();
const refusal = z.object({ item: place, reason: hex });

const binding = z.object({
  /** What is done with the items. */
  verb: z.string(),
  chainId: z.string(),
  /** The contract that does it. */
  contract: z.string(),
  /** The account that sends. */
  sender: z.string(),
  /** How many. */
  items: place,
  /** SHA-256 over all of them. */
  digest: z.string(),
});

/** What a journal is about. One that is about anything else cannot be gone on with. */
export type JournalBinding = z.infer<typeof binding>;

const header = binding.extend({ record: z.literal("journal"), version: z.literal(1) });

const records = z.discriminatedUnion("record", [
  /** The chain says that nothing is left to do for these items. */
  z.object({ record: z.literal("found"), items: z.array(place) }),
  /** The contract would refuse these items, or did so by themselves. */
  z.object({ record: z.literal("refused"), items: z.array(refusal) }),
  /** This transaction may be sent from now on; with the ones before it that are still open it shares the nonce. */
  z.object({
    record: z.literal("attempt"),
    nonce: place,
    /** In the order of the calls. */
    items: z.array(place),
    /** A block before the transaction. */
    block: place,
    /** Serialised; not signed if the signer's node signs what it sends. */
    transaction: hex,
  }),
  /** What the node that signed calls the latest attempt. */
  z.object({ record: z.literal("sent"), hash: hex }),
  /** An open attempt was mined, so that no other one can be. */
  z.object({ record: z.literal("mined"), attempt: place, hash: hex, block: place, refused: z.array(refusal) }),
  /** An open attempt was mined and failed as a whole: nothing has changed. */
  z.object({ record: z.literal("reverted"), attempt: place, hash: hex, block: place }),
  /**
   * The nonce was used, in this block or before, by a transaction that is none of the attempts, or of which the node cannot
   * tell: nothing can be mined with it any more.
   */
  z.object({ record: z.literal("taken"), hash: hex.optional(), block: place }),
]);

/** What happened, in the order in which it did. */
export type JournalRecord = z.infer<typeof records>;

// ------------------------------------------------------------------ the file

/**
 * A file to which records are appended, each on the disk before `append` returns. A process that dies leaves at most one
 * line without an end, which never counted. While it is open no other process can open it.
 */
export interface Journal {
  /** What it held when it was opened. */
  readonly records: readonly JournalRecord[];
  /** @throws TouchstoneError JOURNAL_FAILED if it does not reach the disk; nothing can be appended after that. */
  append(record: JournalRecord): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a journal, or begins one if there is none. Next to it stays an empty file, `<path>.lock`.
 *
 * @throws TouchstoneError
 *   - JOURNAL_LOCKED if another process has it open;
 *   - JOURNAL_MISMATCH if it is about something else, with what in `details`; JOURNAL_INVALID if it is damaged or none;
 *   - FILE_MISSING (its folder), FILE_IS_DIRECTORY, FILE_UNREADABLE, INVALID_ARGUMENT, JOURNAL_FAILED.
 */
export async function openJournal(path: string, about: JournalBinding): Promise<Journal> {
  let file: FileHandle;
  try {
    file = await open(path, "a+", 0o600);
  } catch (error) {
    throw fileError(path, error);
  }
  let unlock: (() => void) | undefined;
  const close = async (): Promise<void> => {
    await file.close();
    unlock?.();
  };
  try {
    unlock = await lockOf(path);
    const lines = await readLines(file, path);
    if (lines.length === 0) {
      await write(file, path, JSON.stringify({ record: "journal", version: 1, ...about }));
      await syncFolder(path);
    } else {
      requireSame(path, parseLine(header, path, 0, lines[0]), about);
    }
    let isBroken = false;
    return {
      records: lines.slice(1).map((line, index) => parseLine(records, path, index + 1, line)),
      async append(record) {
        // What follows half a line would be part of it.
        if (isBroken) throw failed(path, "it failed before");
        isBroken = true;
        await write(file, path, JSON.stringify(record));
        isBroken = false;
      },
      close,
    };
  } catch (error) {
    await close();
    throw fileError(path, error);
  }
}

async function lockOf(path: string): Promise<() => void> {
  let unlock: (() => void) | undefined;
  try {
    unlock = await lockFile(path);
  } catch (cause) {
    throw failed(path, String(cause), cause);
  }
  if (unlock !== undefined) return unlock;
  throw new TouchstoneError("JOURNAL_LOCKED", `Someone else works with ${path} now: wait until they have ended.`, {
    details: { path },
  });
}

/** The complete lines; what a process that died left half written is cut off, because it did nothing on its strength. */
async function readLines(file: FileHandle, path: string): Promise<string[]> {
  const text = await file.readFile();
  const end = text.lastIndexOf("\n") + 1;
  if (end < text.length) {
    await onDisk(path, async () => {
      await file.truncate(end);
      await file.sync();
    });
  }
  return text.toString("utf8", 0, end).split("\n").slice(0, -1);
}

async function write(file: FileHandle, path: string, line: string): Promise<void> {
  await onDisk(path, async () => {
    await file.appendFile(`${line}\n`);
    await file.sync();
  });
}

/** Without this a new file may be gone after a power failure, with all that was written to it. */
async function syncFolder(path: string): Promise<void> {
  // Windows neither can nor need do this.
  if (process.platform === "win32") return;
  await onDisk(path, async () => {
    const folder = await open(dirname(path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  });
}

async function onDisk(path: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (cause) {
    throw failed(path, String(cause), cause);
  }
}

function failed(path: string, reason: string, cause?: unknown): TouchstoneError {
  return new TouchstoneError("JOURNAL_FAILED", `The journal ${path} cannot be written (${reason}): make room for it.`, {
    details: { path },
    cause,
  });
}

// ------------------------------------------------------------------ checks

function parseLine<T>(shape: z.ZodType<T>, path: string, index: number, line: string | undefined): T {
  const damaged = (cause: unknown): TouchstoneError =>
    new TouchstoneError(
      "JOURNAL_INVALID",
      `Line ${index + 1} of ${path} is not that of a journal: give another path, or restore the file as it was.`,
      { details: { path, line: index + 1 }, cause },
    );
  try {
    const parsed = shape.safeParse(JSON.parse(line ?? ""));
    if (parsed.success) return parsed.data;
    throw damaged(parsed.error);
  } catch (error) {
    throw error instanceof SyntaxError ? damaged(error) : error;
  }
}

const WORDS: Record<keyof JournalBinding, string> = {
  verb: "to",
  chainId: "on the chain",
  contract: "with the contract",
  sender: "sent by",
  items: "with this many items:",
  digest: "with other items, of digest",
};

function requireSame(path: string, journal: JournalBinding, given: JournalBinding): void {
  for (const field of Object.keys(WORDS) as (keyof JournalBinding)[]) {
    if (journal[field] === given[field]) continue;
    throw new TouchstoneError(
      "JOURNAL_MISMATCH",
      `The journal ${path} is of work ${WORDS[field]} ${journal[field]}, and not ${given[field]}: give exactly what it was begun ` +
        "with, or another journal for other work.",
      { details: { path, field, journal: journal[field], given: given[field] } },
    );
  }
}
