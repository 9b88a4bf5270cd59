import { expect } from "chai";
import fc from "fast-check";

import { createDeadlines } from "../../client/deadlines.js";

describe("createDeadlines", () => {
  it("takes out what is due, each subject once, and keeps the rest with the next one first", () => {
    const anyEntry = fc.record({ time: fc.nat({ max: 40 }), subject: fc.constantFrom("a", "b", "c", "d") });
    fc.assert(
      fc.property(fc.array(anyEntry), fc.array(fc.nat({ max: 45 }), { maxLength: 5 }), (entries, moments) => {
        const deadlines = createDeadlines();
        let rest = entries;
        for (const { time, subject } of entries) deadlines.add(time, subject);
        for (const moment of moments) {
          const due = rest.filter(({ time }) => time <= moment).map(({ subject }) => subject);
          rest = rest.filter(({ time }) => time > moment);
          expect(deadlines.takeUntil(moment)).to.deep.equal(new Set(due));
          const times = rest.map(({ time }) => time);
          expect(deadlines.next()).to.equal(times.length === 0 ? undefined : Math.min(...times));
        }
        deadlines.clear();
        expect(deadlines.next()).to.equal(undefined);
      }),
    );
  });
});
