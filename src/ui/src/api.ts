// The gateway's endpoints, as the page asks them. Every number that is shown comes from here.

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface Who {
  signed_in: boolean;
  open: boolean;
  admin: boolean;
  tenant: string | null;
  key: string | null;
  csrf: string;
}

let proof = "";
export function prove(token: string): void {
  proof = token;
}

/** The tenant an operator looks at; a caller's own key needs none. */
let tenant = "";
export function lookAt(name: string): void {
  tenant = name;
}

/** What an operator is told of the whole gateway, whichever tenant is looked at. */
const WHOLE = /^\/(ui\/|admin\/v1\/(usage|records|runs|health|budgets|shadow|lanes|audit|keys|maintenance))/;

function addressed(path: string): string {
  if (!tenant || WHOLE.test(path) || /[?&]tenant=/.test(path)) return path;
  return `${path}${path.includes("?") ? "&" : "?"}tenant=${encodeURIComponent(tenant)}`;
}

/** Words of an error in any of the shapes that the gateway answers in. */
function wordsOf(status: number, text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (body && typeof body === "object" && "error" in body) {
      const error = (body as { error: unknown }).error;
      if (typeof error === "string") return error;
      if (error && typeof error === "object" && "message" in error) return String((error as { message: unknown }).message);
    }
  } catch {
    // Not ours: the status says all there is to say.
  }
  return `The gateway answered ${status}.`;
}

export async function ask<T>(path: string, options: { method?: string; body?: unknown; raw?: string; signal?: AbortSignal; headers?: Record<string, string> } = {}): Promise<T> {
  const headers: Record<string, string> = { ...options.headers };
  const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  if (body !== undefined) headers["content-type"] = options.raw === undefined ? "application/json" : "application/x-ndjson";
  if (proof) headers["x-laneway-csrf"] = proof;
  let response: Response;
  try {
    response = await fetch(addressed(path), { method: options.method ?? "GET", headers, body, signal: options.signal, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, "The gateway cannot be reached.");
  }
  const text = await response.text();
  if (!response.ok) throw new Refused(response.status, wordsOf(response.status, text));
  return (text ? JSON.parse(text) : null) as T;
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => ask<T>(path, { signal });
export const post = <T>(path: string, body: unknown = {}): Promise<T> => ask<T>(path, { method: "POST", body });
export const put = <T>(path: string, body: unknown): Promise<T> => ask<T>(path, { method: "PUT", body });
export const patch = <T>(path: string, body: unknown): Promise<T> => ask<T>(path, { method: "PATCH", body });
export const remove = <T>(path: string): Promise<T> => ask<T>(path, { method: "DELETE" });

export interface Listed<T> {
  object: "list";
  data: T[];
}
