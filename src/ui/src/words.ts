// Numbers and times as a person reads them.

export function usd(amount: number): string {
  if (amount === 0) return "$0";
  const size = Math.abs(amount);
  const places = size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  return `${amount < 0 ? "-" : ""}$${size.toLocaleString("en", { minimumFractionDigits: Math.min(places, 2), maximumFractionDigits: places })}`;
}

export const nanos = (amount: number): string => usd(amount / 1e9);
export const count = (amount: number): string => amount.toLocaleString("en", { maximumFractionDigits: 0 });
export const share = (part: number): string => `${(100 * part).toFixed(part > 0 && part < 0.1 ? 1 : 0)} %`;

export function bytes(size: number): string {
  const gib = size / 1024 ** 3;
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${Math.round(size / 1024 ** 2)} MiB`;
}

export function seconds(length: number): string {
  if (length < 1) return `${Math.round(length * 1000)} ms`;
  return length < 90 ? `${length.toFixed(1)} s` : `${Math.round(length / 60)} min`;
}

export function clock(instant: number | string): string {
  return new Date(typeof instant === "number" ? instant * 1000 : instant).toLocaleTimeString("en-GB");
}

export function moment(instant: number | string): string {
  return new Date(typeof instant === "number" ? instant * 1000 : instant).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}
