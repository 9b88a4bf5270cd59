/**
 * Asks about each item, some at a time, as a node or a disk takes only so much at once.
 *
 * @returns The answers, in the order of the items.
 */
export async function inTurns<T, R>(
  items: readonly T[],
  atOnce: number,
  question: (item: T) => Promise<R>,
): Promise<R[]> {
  const answers: R[] = [];
  for (let start = 0; start < items.length; start += atOnce) {
    answers.push(...(await Promise.all(items.slice(start, start + atOnce).map(question))));
  }
  return answers;
}
