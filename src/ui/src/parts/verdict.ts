// Whether routing pays, in plain words. The gateway's own sentence has the same figures, for logs and terminals.

const FIGURES = /([+-][\d.]+) points \+- ([\d.]+) over [^,]+, ([\d,]+) examples/;

export function plainly(verdict: string): string {
  const [, gain, spread, examples] = FIGURES.exec(verdict) ?? [];
  if (gain === undefined || spread === undefined) return verdict;
  const better = `${Math.abs(Number(gain)).toFixed(1)} points of 100 ${Number(gain) < 0 ? "worse" : "better"} (± ${Number(spread).toFixed(1)})`;
  const tried = `Tried on ${examples} examples, each kept back while the others taught: choosing for each prompt gives answers ${better} than mixing the same models at random.`;
  if (verdict.startsWith("Routable")) return tried;
  return `${tried} ${verdict.startsWith("Not routable yet") ? "That is not enough to be sure: teach more examples." : "There is nothing to gain here: the default serves."}`;
}
