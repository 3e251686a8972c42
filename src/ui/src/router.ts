// What the router's endpoints tell: pools, lessons, decisions, examples.

export interface Example {
  id: number;
  prompt: string;
  tag: string;
  labels: { candidate: string; score: number; source: string }[];
  batch: string | null;
  taught_by: string | null;
  at: string;
}

export interface PoolStatus {
  pool: string; rule: string; default: string; warm: boolean; labels_needed: number;
  candidates: { candidate: string; name: string; labels: number; needed: number }[];
  complete: number; routable: boolean | null; verdict: string; gain: number | null; deviation: number | null; judged: number | null; strong: string | null; floor: number | null; bias: number;
}
export interface Status { tenant: string; backend: string; embedder: string | null; records: number; alpha: number; judges: { judge: string; model: string }[]; pools: PoolStatus[] }

export interface Position { bias: number; mix: Record<string, number>; quality: number; cost_ratio: number; usd_per_request: number | null; kept_by_floor: boolean }
export interface Dial { pool: string; bias: number; moved: boolean; positions: Position[]; unmoved: Omit<Position, "bias" | "kept_by_floor"> | null; examples: number; floor: number | null }

export interface Stood { candidate: string; target: string; quality: number | null; error: number | null; labels: number; cost_nanos: number | null; cost_ratio: number | null; penalty: number; score: number | null }
export interface Receipt {
  id: string; at_s: number; pool: string; lane: string | null; rule: string; served: string; declined: string | null; reason: string;
  bias: number; weight: number; flips_cheaper: number | null; flips_dearer: number | null; confidence: number | null; likeness: number | null;
  space: string; tag: string; standings: Stood[]; neighbours: { example: number; similarity: number; scores: Record<string, number> }[];
  dropped: { target: string; reason: string }[]; plan: string[]; text: string | null;
}
export interface Explanation { ranked: { provider: string; model: string; tier: string }[]; dropped: { provider: string; model: string; reason: string }[]; receipt: Receipt | null }

export interface Places {
  nodes: { id: number; tag: string; prompt: string }[];
  links: [number, number, number][];
}

/** The names of all pools' candidates. */
export const pooled = (status: Status): string[] => [...new Set(status.pools.flatMap((pool) => pool.candidates.map((candidate) => candidate.name)))];

/** A candidate as people call it: without the place it runs at. */
export const short = (candidate: string): string => candidate.split("/").at(-1) ?? candidate;
