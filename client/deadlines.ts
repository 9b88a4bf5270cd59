/** Moments at which something is due, the next one first. */
export interface Deadlines {
  add(time: number, subject: string): void;
  /** The next moment; undefined if none is left. */
  next(): number | undefined;
  /** Takes out what is due by then, each subject once. */
  takeUntil(time: number): Set<string>;
  clear(): void;
}

interface Entry {
  time: number;
  subject: string;
}

/** A binary heap: adding one of 100,000 takes no more than 17 comparisons. */
export function createDeadlines(): Deadlines {
  let heap: Entry[] = [];

  function isBefore(a: number, b: number): boolean {
    return (heap[a]?.time ?? Infinity) < (heap[b]?.time ?? Infinity);
  }

  function swap(a: number, b: number): void {
    const [first, second] = [heap[a], heap[b]];
    if (first === undefined || second === undefined) return;
    heap[a] = second;
    heap[b] = first;
  }

  function takeFirst(): void {
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let place = 0; ;) {
      const [left, right] = [2 * place + 1, 2 * place + 2];
      const earlier = isBefore(right, left) ? right : left;
      if (!isBefore(earlier, place)) return;
      swap(earlier, place);
      place = earlier;
    }
  }

  return {
    add(time, subject) {
      let place = heap.push({ time, subject }) - 1;
      for (let parent = (place - 1) >> 1; place > 0 && isBefore(place, parent); parent = (place - 1) >> 1) {
        swap(place, parent);
        place = parent;
      }
    },
    next: () => heap[0]?.time,
    takeUntil(time) {
      const due = new Set<string>();
      for (let first = heap[0]; first !== undefined && first.time <= time; first = heap[0]) {
        due.add(first.subject);
        takeFirst();
      }
      return due;
    },
    clear() {
      heap = [];
    },
  };
}
