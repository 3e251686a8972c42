import { Anchor, Group, Slider, Text } from "@mantine/core";
import { put } from "../api";
import type { Asked } from "../asked";
import { share } from "../words";
import { failed, said } from "./tell";

export interface Kept {
  pool: string; floor: number | null; set: number | null; configured: number | null;
  min: number; max: number; step: number; short_by: number; at_most: number;
}

/** Where nothing is kept, one step below the lowest floor. */
const offOf = (kept: Kept): number => kept.min - kept.step;
const near = (one: number, other: number): boolean => Math.abs(one - other) < 1e-6;
export const addressOf = (pool: string): string => `/admin/v1/routing-floor?pool=${encodeURIComponent(pool)}`;

/** Saved when it is let go, and put back where it was when it could not be saved. `shown` is 0 where there is none. */
export function Floor({ asked, kept, shown, show }: { asked: Asked<Kept>; kept: Kept; shown: number; show: (floor: number) => void }) {
  const off = offOf(kept);
  const steps = Math.round((kept.max - kept.min) / kept.step);
  const marks = [{ value: off, label: "Off" }];
  for (let at = 2; at <= steps; at += 2) marks.push({ value: rounded(kept.min + at * kept.step), label: share(kept.min + at * kept.step) });
  const save = async (wanted: number | null) => {
    if (wanted === null ? kept.set === null : near(wanted, kept.floor ?? 0)) return;
    try {
      await put(addressOf(kept.pool), { floor: wanted });
      said(wanted === 0 ? "Saved: no floor holds for the next request." : "Saved: the floor holds for the next request.");
      asked.again();
    } catch (problem) {
      show(kept.floor ?? 0);
      failed(problem);
    }
  };
  return (
    <div>
      <Group gap="xs" mt="md">
        <Text size="sm" fw={600}>Quality floor</Text>
        <Text size="sm" className="number">{shown ? `at least ${share(shown)} of the strongest candidate's` : "none"}</Text>
      </Group>
      <Slider
        value={shown ? Math.max(shown, kept.min) : off}
        onChange={(value) => show(value < kept.min - kept.step / 2 ? 0 : rounded(value))}
        onChangeEnd={(value) => void save(value < kept.min - kept.step / 2 ? 0 : rounded(value))}
        min={off}
        max={kept.max}
        step={kept.step}
        marks={marks}
        label={(value) => (value < kept.min - kept.step / 2 ? "off" : share(value))}
        thumbLabel={`Quality floor of ${kept.pool}`}
        color={shown ? undefined : "gray"}
        mx="md"
        mt={6}
        mb={32}
      />
      <Text size="xs" c="dimmed">
        {shown
          ? `Kept on the average of prompts like the examples, not on each. Set by their own scores with a margin: it aims to fall short by more than ${words(kept.short_by)} in at most ${Math.round(10 * kept.at_most)} of 10 samples of prompts.`
          : "Nothing but the dial decides how much quality may be given up for cost."}
        {kept.set !== null && (
          <> {kept.configured === null ? "The configuration sets none. " : `The configuration says ${share(kept.configured)}. `}
            <Anchor component="button" type="button" size="xs" onClick={() => void save(null)}>As configured</Anchor>
          </>
        )}
      </Text>
    </div>
  );
}

const rounded = (value: number): number => Math.round(100 * value) / 100;
const words = (part: number): string => (near(part, 0.01) ? "one point" : `${(100 * part).toFixed(1)} points`);
