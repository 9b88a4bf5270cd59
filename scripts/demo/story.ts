import { ContractRevertError, TouchstoneError, type Sent } from "../../client/index.js";

/**
 * Tells a story in numbered steps and keeps account of what it claims: a claim that does not hold, and an attack that is not
 * refused for the reason that was announced, end it with an error.
 */
export class Story {
  private steps = 0;
  private refused = 0;
  private readonly print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.print = print;
  }

  /** Tells one step. */
  async step<T>(title: string, tell: () => Promise<T>): Promise<T> {
    this.steps += 1;
    this.print(`\n${this.steps}. ${title}`);
    return tell();
  }

  /** Says something that is so. */
  fact(text: string): void {
    for (const line of text.split("\n")) this.print(`   ${line}`);
  }

  /** Says what was done, and what it cost. */
  did(text: string, ...sent: readonly Sent[]): void {
    const gas = sent.reduce((sum, { receipt }) => sum + receipt.gasUsed, 0n);
    this.fact(`${text} (${gas.toLocaleString("en-US")} gas)`);
  }

  /** Claims that something holds. */
  claim(text: string, holds: boolean): void {
    if (!holds) throw new Error(`The demo claims "${text}", which is not so.`);
    this.fact(text);
  }

  /**
   * Plays an attack that must be refused.
   *
   * @param reason Name of the contract's error, or code of the TouchstoneError.
   */
  async attack(title: string, reason: string, play: () => Promise<unknown>): Promise<void> {
    let refusal: unknown;
    try {
      await play();
    } catch (error) {
      refusal = error;
    }
    if (refusal === undefined) throw new Error(`The attack "${title}" was not refused.`);
    if (!(refusal instanceof TouchstoneError) || nameOf(refusal) !== reason) {
      throw new Error(`The attack "${title}" was refused for another reason than ${reason}.`, { cause: refusal });
    }
    this.tellRefusal(title, `${reason}: ${refusal.message}`);
  }

  /**
   * Plays an attack on a question that anyone may ask: the answer must be no.
   *
   * @param ask Answers with the reason for the no, or undefined for a yes.
   */
  async question(title: string, ask: () => Promise<string | undefined>): Promise<void> {
    const reason = await ask();
    if (reason === undefined) throw new Error(`The attack "${title}" was not refused.`);
    this.tellRefusal(title, reason);
  }

  /** The last line. */
  end(): void {
    this.print(`\ndemo: ${this.steps} steps, ${this.refused} attacks refused`);
  }

  private tellRefusal(title: string, reason: string): void {
    this.refused += 1;
    this.print(`   ✗ ${title}`);
    this.print(`     ${reason}`);
  }
}

function nameOf(error: TouchstoneError): string | undefined {
  return error instanceof ContractRevertError ? error.errorName : error.code;
}
