import { Group, Progress, Slider, Stack, Text } from "@mantine/core";
import { useEffect, useState } from "react";
import { put } from "../api";
import { type Asked, useAsked } from "../asked";
import { type Dial, type PoolStatus, short, type Status } from "../router";
import { useSession } from "../session";
import { colourOf } from "../theme";
import { share, usd } from "../words";
import { Answered, Panel } from "./Panel";
import { failed, said } from "./tell";

interface Alpha { alpha: number; min: number; max: number }

const MARKS = [{ value: 0, label: "Lowest cost" }, { value: 0.5, label: "Default (0.5)" }, { value: 1, label: "Highest quality" }];

/** Saved when it is let go, not while it moves; put back where it was when it could not be saved. */
export function QualityCost() {
  const { tenant } = useSession();
  const alpha = useAsked<Alpha>("/admin/v1/routing-alpha");
  const status = useAsked<Status>("/v1/router/status");
  const [shown, setShown] = useState<number>();
  useEffect(() => setShown(alpha.data && alpha.data.alpha / alpha.data.max), [alpha.data]);
  return (
    <Panel title="Quality vs cost" hint={`How learned routing decides for ${tenant}`}>
      <Answered asked={alpha} lines={2}>
        {(now) => (
          <Stack>
            <Slider value={shown ?? 0.5} onChange={setShown} onChangeEnd={(value) => void save(value, now, alpha, setShown)} min={0} max={1} step={0.1} marks={MARKS} label={(value) => value.toFixed(1)} thumbLabel="Quality vs cost" mx={56} mb="lg" mt="sm" />
            {(status.data?.pools ?? []).map((pool) => <Preview key={pool.pool} pool={pool} bias={shown ?? 0.5} />)}
          </Stack>
        )}
      </Answered>
    </Panel>
  );
}

async function save(value: number, now: Alpha, alpha: Asked<Alpha>, show: (value: number) => void): Promise<void> {
  const wanted = Math.round(value * now.max);
  if (wanted === now.alpha) return;
  try {
    await put("/admin/v1/routing-alpha", { alpha: wanted });
    said("Saved: the next request is decided by it.");
    alpha.again();
  } catch (problem) {
    show(now.alpha / now.max);
    failed(problem);
  }
}

/** What this position would do with the tenant's own examples. */
function Preview({ pool, bias }: { pool: PoolStatus; bias: number }) {
  const dial = useAsked<Dial>(`/v1/router/dial?pool=${encodeURIComponent(pool.pool)}`);
  return (
    <Answered asked={dial} lines={1}>
      {({ positions, floor }) => {
        const here = positions.find((each) => Math.abs(each.bias - bias) < 0.05);
        if (!here) return <Text size="sm" c="dimmed">{pool.pool}: {pool.verdict}</Text>;
        const mix = Object.entries(here.mix);
        return (
          <div>
            <Group justify="space-between">
              <Text size="sm" fw={600}>{pool.pool}</Text>
              <Text size="sm" className="number">quality {(100 * here.quality).toFixed(1)}, {here.usd_per_request !== null ? `${usd(here.usd_per_request * 1000)} for 1,000 requests` : `${here.cost_ratio.toFixed(2)} times the default's cost`}</Text>
            </Group>
            <Progress.Root size="xl" mt={4}>
              {mix.map(([candidate, part], at) => part > 0 && (
                <Progress.Section key={candidate} value={100 * part} color={colourOf(at)} aria-label={`${short(candidate)}: ${share(part)}`}><Progress.Label>{part > 0.12 ? `${short(candidate)} ${share(part)}` : ""}</Progress.Label></Progress.Section>
              ))}
            </Progress.Root>
            {floor !== null && <Text size="xs" c="dimmed">Quality floor: {share(floor)} of the strongest candidate's{here.kept_by_floor ? "; it holds this position up" : ""}.</Text>}
          </div>
        );
      }}
    </Answered>
  );
}
