// Whether routing pays, in plain words. The gateway has a sentence of its own with the same figures, for logs and
// terminals; before there are figures, it says what is missing.

import type { PoolStatus } from "../router";

export function plainly({ rule, warm, gain, deviation, judged, routable, verdict }: PoolStatus): string {
  if (rule !== "learned" || !warm || gain === null || deviation === null || judged === null) return verdict;
  const better = `${Math.abs(gain).toFixed(1)} points of 100 ${gain < 0 ? "worse" : "better"} (± ${deviation.toFixed(1)})`;
  const tried = `Tried on ${judged.toLocaleString("en")} examples, each kept back while the others taught: choosing for each prompt gives answers ${better} than mixing the same models at random.`;
  if (routable) return tried;
  return `${tried} ${verdict.startsWith("Not routable yet") ? "That is not enough to be sure: teach more examples." : "There is nothing to gain here: the default serves."}`;
}
