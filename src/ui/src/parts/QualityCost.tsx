import { Alert, Group, Paper, Progress, Slider, Stack, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useEffect, useRef, useState } from "react";
import { put } from "../api";
import { type Asked, useAsked } from "../asked";
import { type Dial, type PoolStatus, short, type Status } from "../router";
import { useSession } from "../session";
import { colourAmong, css } from "../theme";
import { share, usd } from "../words";
import { addressOf, Floor, type Kept } from "./Floor";
import { Answered, Key, Panel } from "./Panel";
import { failed, said } from "./tell";
import { plainly } from "./verdict";

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
            {(status.data?.pools ?? []).map((pool) => <OnePool key={pool.pool} pool={pool} bias={shown ?? 0.5} saved={now.alpha / now.max} />)}
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

/** What this position and this floor would do with the tenant's own examples. */
function OnePool({ pool, bias, saved }: { pool: PoolStatus; bias: number; saved: number }) {
  const floor = useAsked<Kept>(pool.rule === "learned" ? addressOf(pool.pool) : null);
  const [shown, setShown] = useState<number>();
  useEffect(() => setShown(floor.data && (floor.data.floor ?? 0)), [floor.data]);
  const [turned] = useDebouncedValue(shown, 60);
  const dial = useAsked<Dial>(`/v1/router/dial?pool=${encodeURIComponent(pool.pool)}${turned === undefined || turned === (floor.data?.floor ?? 0) ? "" : `&floor=${turned}`}`);
  const { again } = dial;
  // What was saved within the debounce's time leaves the question as it was, and its answer is another one all the same.
  const kept = floor.data?.floor;
  const stood = useRef({ saved, kept });
  useEffect(() => {
    const { saved: turnedTo, kept: held } = stood.current;
    if (turnedTo !== saved || (held !== undefined && held !== kept)) again();
    stood.current = { saved, kept };
  }, [saved, kept, again]);
  const before = useRef(dial.data);
  if (dial.data) before.current = dial.data;
  return (
    <Paper withBorder p="sm" className="card" component="section" aria-label={`Pool ${pool.pool}`}>
      <Answered asked={{ ...dial, data: dial.data ?? before.current }} lines={2}>
        {(told) => <Effect pool={pool} told={told} bias={bias} settled={bias === saved} />}
      </Answered>
      {floor.data && shown !== undefined && <Floor asked={floor} kept={floor.data} shown={shown} show={setShown} />}
      {floor.error && <Alert color="red" mt="xs">{floor.error}</Alert>}
    </Paper>
  );
}

function Effect({ pool, told, bias, settled }: { pool: PoolStatus; told: Dial; bias: number; settled: boolean }) {
  const at = told.positions.find((each) => Math.abs(each.bias - bias) < 0.05);
  // Whoever has not moved the dial leaves it to the floor, where there is one.
  const unmoved = settled && !told.moved;
  const here = unmoved ? told.unmoved : at;
  if (!here || !at) return <Text size="sm" c="dimmed"><b>{pool.pool}</b>: {plainly(pool)}</Text>;
  return (
    <div>
      <Group justify="space-between" gap="xs">
        <Text size="sm" fw={600}>{pool.pool}</Text>
        <Text size="sm" className="number">quality {(100 * here.quality).toFixed(1)} of 100, {here.usd_per_request !== null ? `${usd(here.usd_per_request * 1000)} for 1,000 requests` : `${here.cost_ratio.toFixed(2)} times the default's cost`}</Text>
      </Group>
      <Progress.Root size="xl" mt={4}>
        {Object.entries(here.mix).map(([candidate, part], _, mix) => part > 0 && (
          <Progress.Section key={candidate} value={100 * part} color={colourAmong(mix.map(([name]) => name), candidate)} aria-label={`${short(candidate)}: ${share(part)}`}><Progress.Label>{part > 0.1 ? share(part) : ""}</Progress.Label></Progress.Section>
        ))}
      </Progress.Root>
      <Group gap="md" mt={6}>
        {Object.entries(here.mix).map(([candidate, part], _, mix) => <Key key={candidate} colour={css(colourAmong(mix.map(([name]) => name), candidate))} words={`${short(candidate)} ${share(part)}`} />)}
      </Group>
      {told.floor !== null && <Text size="xs" c="dimmed" mt={4}>{unmoved ? "The dial was not moved: the floor decides alone." : at.kept_by_floor ? "The floor holds the dial up here: it alone decides." : "The dial is stricter than the floor here."}</Text>}
    </div>
  );
}
