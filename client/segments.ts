/** Readings from `first` up to, but not including, `past`, and which anchor they were last corrected by. */
export interface Segment {
  first: bigint;
  past: bigint;
  by: bigint;
}

/** Which readings have been corrected, and by which anchor last. */
export interface Segments {
  /**
   * Puts a segment over those that are there.
   *
   * @returns What it covers of those, by their anchors: from the first to the last reading that they share.
   */
  put(segment: Segment): Segment[];
  /** How many readings from `first` up to `past` are in a segment. */
  within(first: bigint, past: bigint): bigint;
}

/** Starts without segments. */
export function createSegments(): Segments {
  /** Apart from each other, in order. */
  const segments: Segment[] = [];

  /** Place of the first segment that ends after `first`. */
  function placeOf(first: bigint): number {
    let [low, high] = [0, segments.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((segments[middle]?.past ?? 0n) <= first) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What lies within these bounds, cut to them. */
  function cut(first: bigint, past: bigint): Segment[] {
    const cuts: Segment[] = [];
    for (let place = placeOf(first); place < segments.length; place += 1) {
      const segment = segments[place];
      if (segment === undefined || segment.first >= past) break;
      cuts.push({
        first: segment.first > first ? segment.first : first,
        past: segment.past < past ? segment.past : past,
        by: segment.by,
      });
    }
    return cuts;
  }

  return {
    put(segment) {
      const { first, past } = segment;
      const covered = cut(first, past);
      const start = placeOf(first);
      const touched = segments.slice(start, start + covered.length);
      const before = touched.filter((other) => other.first < first).map((other) => ({ ...other, past: first }));
      const after = touched.filter((other) => other.past > past).map((other) => ({ ...other, first: past }));
      segments.splice(start, touched.length, ...before, segment, ...after);
      const byAnchor = new Map<bigint, Segment>();
      for (const part of covered) {
        const found = byAnchor.get(part.by);
        if (found === undefined) byAnchor.set(part.by, part);
        else found.past = part.past;
      }
      return [...byAnchor.values()].sort((a, b) => (a.by < b.by ? -1 : 1));
    },
    within(first, past) {
      return cut(first, past).reduce((sum, segment) => sum + segment.past - segment.first, 0n);
    },
  };
}
