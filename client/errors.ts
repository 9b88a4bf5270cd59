/** What went wrong, for programs to switch on. */
export type ErrorCode =
  /** An argument is not what the function takes. */
  | "INVALID_ARGUMENT"
  /** A key, or a file that should hold one, cannot be used. */
  | "INVALID_KEY";

export interface TouchstoneErrorOptions {
  /** The values that the message speaks of. */
  details?: Record<string, unknown>;
  cause?: unknown;
}

/** An error of Touchstone: a code for programs, and a message that names the value and the fix for people. */
export class TouchstoneError extends Error {
  override readonly name = "TouchstoneError";
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: TouchstoneErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}
