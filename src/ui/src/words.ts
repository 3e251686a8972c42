// Numbers, times and the gateway's own words as a person reads them.

export function usd(amount: number): string {
  const size = Math.abs(amount);
  if (size < 5e-7) return "$0";
  const places = size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  return `${amount < 0 ? "-" : ""}$${size.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places })}`;
}

/** On an axis or for a cap: no more digits than it takes. */
export function brief(amount: number): string {
  const places = Number.isInteger(amount) ? 0 : 2;
  if (amount !== 0 && Math.abs(amount) < 0.1) return `$${amount.toLocaleString("en", { maximumSignificantDigits: 3, maximumFractionDigits: 7 })}`;
  return `$${amount.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places })}`;
}

/** In a column, where the small ones do not matter. */
export function cents(amount: number): string {
  if (amount > 0 && amount < 0.01) return "< $0.01";
  return `${amount < 0 ? "-" : ""}$${Math.abs(amount).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

export const nanos = (amount: number): string => usd(amount / 1e9);
export const count = (amount: number): string => amount.toLocaleString("en", { maximumFractionDigits: 0 });
export const share = (part: number): string => `${(100 * part).toFixed(part > 0 && part < 0.1 ? 1 : 0)}%`;
export const many = (amount: number, one: string, more = `${one}s`): string => `${count(amount)} ${amount === 1 ? one : more}`;

export function bytes(size: number): string {
  const gib = size / 1024 ** 3;
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${Math.round(size / 1024 ** 2)} MiB`;
}

export function seconds(length: number): string {
  if (length < 0.9995) return `${Math.round(length * 1000)} ms`;
  return length < 90 ? `${length.toFixed(1)} s` : `${Math.round(length / 60)} min`;
}

const dated = (instant: number | string): Date => new Date(typeof instant === "number" ? instant * 1000 : instant);
export const clock = (instant: number | string): string => dated(instant).toLocaleTimeString("en-GB");
export const minute = (instant: number | string): string => dated(instant).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
export const moment = (instant: number | string): string => dated(instant).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** To the minute: what is still to come needs no seconds. */
export const until = (instant: number | string): string => dated(instant).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** `2026-11-08` as it stands under a picture. */
export const day = (iso: string): string => new Date(`${iso}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

const REASONS: Record<string, string> = {
  open: "breaker open",
  full: "no free slot",
  queue_full: "queue full",
  late: "too late for the deadline",
  no_budget: "over budget",
  over_budget: "over budget",
  rate_limited: "rate limited",
  timeout: "too slow",
  connect: "not reachable",
  reset: "connection lost",
  overloaded: "overloaded",
  upstream_error: "server error",
  model_missing: "model missing",
  malformed_answer: "unreadable answer",
  cut: "broke off",
  asleep: "host silent",
  resting: "asked us to wait",
  crowded: "no room for the model",
  only_if: "not needed yet",
  last_resort: "only in an emergency",
  denied: "not allowed there",
  unfit: "answer not good enough",
  no_target: "nobody could serve it",
  unauthenticated: "unknown key",
  unknown_model: "unknown model",
  unknown_lane: "unknown lane",
  caller_gone: "caller left",
};

/** A fact of a journal: its unit stands in its name. */
export function fact(name: string, value: unknown): string {
  const amount = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  const of = (unit: string): string => name.slice(0, -unit.length).replaceAll("_", " ");
  if (typeof amount === "number" && Number.isFinite(amount)) {
    if (name === "usd") return usd(amount);
    if (name.endsWith("_usd")) return `${of("_usd")} ${usd(amount)}`;
    if (name.endsWith("_s")) return amount > 1e9 ? `${of("_s")} ${moment(amount)}` : `${of("_s")} ${seconds(amount)}`;
  }
  return `${name.replaceAll("_", " ")} ${String(value)}`;
}

const RULES: Record<string, string> = {
  learned: "by the examples",
  knn: "by the examples",
  clusters: "by the examples",
  cheapest: "the cheapest",
  fastest: "the fastest",
  "least-busy": "the least busy",
  weighted: "by weights",
  fixed: "in fixed order",
  cascade: "cheap first, then checked",
  pin: "same conversation",
};

/** How a pool chose. */
export const chosen = (rule: string, declined: string | null): string => (declined !== null ? "the default" : (RULES[rule] ?? rule.replaceAll("-", " ")));

/** `lane:night` as a person says it; what is stopped or allowed everywhere has no name. */
export const scoped = (scope: string): string => (["all", "*", ""].includes(scope) ? "anything" : scope.replaceAll(":", " "));

/** Why a request was not served by its first choice, or at all. */
export const reason = (word: string | null): string => (word === null ? "" : (REASONS[word] ?? word.replaceAll("_", " ")));
