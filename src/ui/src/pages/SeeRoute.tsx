import { Alert, Badge, Box, Button, Group, Loader, SegmentedControl, Select, SimpleGrid, Slider, Stack, Table, Text, Textarea, Timeline, Title } from "@mantine/core";
import "../styles/rest";
import { useDebouncedValue } from "@mantine/hooks";
import { type ReactNode, Suspense, useEffect, useMemo, useState } from "react";
import { ask, post, Refused } from "../api";
import { useAsked } from "../asked";
import { Graph } from "../parts/Graph";
import { Answered, Figure, Nothing, PageHead, Panel } from "../parts/Panel";
import { Costs, Qualities } from "../parts/Standings";
import { failed } from "../parts/tell";
import { Because, Neighbours, Turning } from "../parts/Why";
import { part } from "../part";
import { usePlaces } from "../places";
import { plainly } from "../parts/verdict";
import { type Dial, type Example, type Explanation, type PoolStatus, type Position, type Receipt, short, type Status } from "../router";
import { useSession } from "../session";
import { chosen, share, usd } from "../words";

const DialPicture = part(() => import("../parts/DialPicture"));
const SAMPLES = 6;
/** Nobody reads longer ones on a button. */
const LONG = 140;
const ANYBODYS = ["What is 318 * 742?", "Say hello to the team.", "Translate into French: good evening", "Explain why the sky is blue."];
const MARKS = [{ value: 0, label: "Lowest cost" }, { value: 0.5, label: "0.5" }, { value: 1, label: "Highest quality" }];

export default function SeeRoute() {
  const status = useAsked<Status>("/v1/router/status");
  const [named, setNamed] = useState<string | null>(null);
  return (
    <Stack>
      <PageHead title="See it route">
        {status.data && status.data.pools.length > 1 && <Select aria-label="Pool" data={status.data.pools.map((each) => each.pool)} value={named ?? status.data.pools[0]?.pool ?? null} onChange={setNamed} allowDeselect={false} />}
      </PageHead>
      <Answered asked={status} lines={6}>
        {({ pools, records }) => {
          const pool = pools.find((each) => each.pool === named) ?? pools[0];
          if (!pool) return <Nothing>No pool is configured: [pools.auto] in the configuration names the models that may be chosen among. `laneway serve --config config/learned.toml` shows one at work.</Nothing>;
          return <Walk key={pool.pool} pool={pool} records={records} />;
        }}
      </Answered>
    </Stack>
  );
}

function Walk({ pool, records }: { pool: PoolStatus; records: number }) {
  const samples = useSamples();
  const [typed, setTyped] = useState<string>();
  // Until somebody is about to type, one of the samples is walked through: there is something to see at once.
  const prompt = typed ?? samples[0] ?? "";
  const [bias, setBias] = useState(pool.bias);
  const [asked] = useDebouncedValue(prompt, 250);
  const [turned] = useDebouncedValue(bias, 60);
  const explained = useExplained(pool.pool, asked, turned);
  const receipt = explained.told?.receipt ?? null;
  return (
    <>
      <Panel title="A prompt" hint="Nothing is called: this is what would be decided">
        <Group gap={6} mb="sm">
          {samples.map((sample) => <Button key={sample} size="xs" variant={sample === prompt ? "filled" : "light"} aria-pressed={sample === prompt} onClick={() => setTyped(sample)} className="sample" fw={500}><Text span inherit truncate>{sample}</Text></Button>)}
        </Group>
        <Textarea aria-label="Prompt" placeholder="Type a prompt, or take one of the examples" value={prompt} onFocus={() => setTyped(prompt)} onChange={(event) => setTyped(event.currentTarget.value)} autosize minRows={2} maxRows={8} />
      </Panel>
      <Scoreboard pool={pool} bias={turned} />
      {explained.error && <Alert color="red">{explained.error}</Alert>}
      {!asked.trim() ? <Nothing>Each step of the decision appears here.</Nothing> : receipt ? (
        <Steps receipt={receipt} told={explained.told as Explanation} bias={bias} onTurn={setBias} prompt={explained.prompt ?? asked} records={records} busy={explained.busy} />
      ) : explained.busy && <Group><Loader size="sm" /></Group>}
    </>
  );
}

function useExplained(pool: string, prompt: string, bias: number) {
  const { tenant } = useSession();
  const [state, setState] = useState<{ told?: Explanation; prompt?: string; error?: string; busy: boolean }>({ busy: false });
  useEffect(() => {
    if (!prompt.trim()) {
      setState({ busy: false });
      return;
    }
    const ending = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    const body = { model: pool, messages: [{ role: "user", content: prompt }] };
    ask<Explanation>("/v1/router/explain", { method: "POST", body, headers: { "x-laneway-bias": String(bias) }, signal: ending.signal })
      .then((told) => setState({ told, prompt, busy: false }))
      .catch((problem: unknown) => { if (!ending.signal.aborted) setState({ error: (problem as Refused).message, busy: false }); });
    return () => ending.abort();
  }, [pool, prompt, bias, tenant]);
  return state;
}

/** A few of the tenant's own prompts; of whoever has taught none, some that anybody might ask. */
function useSamples(): string[] {
  const examples = useAsked<{ data: Example[] }>("/v1/router/memory?limit=400");
  return useMemo(() => {
    if (examples.data === undefined) return examples.error === undefined ? [] : ANYBODYS;
    const prompts = [...new Set(examples.data.data.map((each) => each.prompt))].filter((prompt) => prompt.length < LONG);
    // What begins with another word mostly asks for something else.
    const kinds = new Map<string, string>();
    for (const prompt of prompts) {
      const word = /^\p{L}+/u.exec(prompt)?.[0] ?? "";
      if (prompt.length < (kinds.get(word)?.length ?? LONG)) kinds.set(word, prompt);
    }
    const few = new Set([...spread([...kinds.values()], SAMPLES), ...spread(prompts, SAMPLES)]);
    return few.size > 0 ? [...few].slice(0, SAMPLES) : ANYBODYS;
  }, [examples.data, examples.error]);
}

function spread<T>(things: T[], many: number): T[] {
  if (things.length <= many) return things;
  return Array.from({ length: many }, (_, at) => things[Math.floor((at * things.length) / many)] as T);
}

/** Always the cheapest, always the strongest, and routed: what the examples say each would come to. */
function Scoreboard({ pool, bias }: { pool: PoolStatus; bias: number }) {
  const path = `/v1/router/dial?pool=${encodeURIComponent(pool.pool)}`;
  const dial = useAsked<Dial>(path);
  // Both ends of the dial, whatever floor is set.
  const free = useAsked<Dial>(`${path}&floor=0`);
  return (
    <Panel title="Scoreboard" hint="What the examples say each way would come to; quality is of 100">
      <Answered asked={dial}>
        {({ positions }) => {
          const here = positions.length ? positions.reduce((best, each) => (Math.abs(each.bias - bias) < Math.abs(best.bias - bias) ? each : best)) : undefined;
          const all = free.data?.positions ?? positions;
          const [cheap, strong] = [all[0], all.at(-1)];
          if (!here || !cheap || !strong) return <Nothing>{plainly(pool)}</Nothing>;
          const cheapest = Object.entries(cheap.mix).sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
          return (
            <SimpleGrid cols={{ base: 1, md: 2 }}>
              <div>
                <Table verticalSpacing="xs">
                  <Table.Thead><Table.Tr><Table.Th>Way</Table.Th><Table.Th ta="right">Cost of 1,000</Table.Th><Table.Th ta="right">Quality</Table.Th><Table.Th ta="right">By {short(cheapest)}</Table.Th></Table.Tr></Table.Thead>
                  <Table.Tbody>
                    {([["Lowest cost", cheap], ["Routed", here], ["Highest quality", strong]] as [string, Position][]).map(([name, each]) => (
                      <Table.Tr key={name} fw={name === "Routed" ? 650 : undefined}>
                        <Table.Td>{name}</Table.Td>
                        <Table.Td ta="right" className="number">{cost(each)}</Table.Td>
                        <Table.Td ta="right" className="number">{(100 * each.quality).toFixed(1)}</Table.Td>
                        <Table.Td ta="right" className="number">{share(each.mix[cheapest] ?? 0)}</Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
                <Box mt="sm" px="xs"><Figure label="Saved against highest quality" value={share(strong.cost_ratio ? 1 - here.cost_ratio / strong.cost_ratio : 0)} hint={here.kept_by_floor ? "held up by the quality floor" : undefined} /></Box>
              </div>
              <Suspense fallback={<Loader size="sm" />}><DialPicture positions={all} here={here} /></Suspense>
            </SimpleGrid>
          );
        }}
      </Answered>
    </Panel>
  );
}

const cost = (each: Position): string => (each.usd_per_request !== null ? usd(each.usd_per_request * 1000) : `${each.cost_ratio.toFixed(2)} × default`);

function Steps({ receipt, told, bias, onTurn, prompt, records, busy }: { receipt: Receipt; told: Explanation; bias: number; onTurn: (bias: number) => void; prompt: string; records: number; busy: boolean }) {
  const places = usePlaces(receipt, 250, records);
  const prompts = useMemo(() => new Map(places?.nodes.map((node) => [node.id, node.prompt])), [places]);
  const names = receipt.standings.map((each) => each.candidate).sort();
  const winner = receipt.standings.find((each) => each.target === receipt.served) ?? receipt.standings[0];
  const [view, setView] = useState("graph");
  return (
    <Panel title="The decision, step by step" right={busy ? <Loader size="xs" /> : undefined}>
      <Timeline active={6} bulletSize={26} lineWidth={2}>
        <Step at={1} title="The request"><Text size="sm"><q>{prompt.slice(0, 160)}{prompt.length > 160 ? "…" : ""}</q>, {prompt.length} characters, asks the pool {receipt.pool} for an answer{receipt.tag ? ` (kind of task: ${receipt.tag.slice(0, 40)})` : ""}.</Text></Step>
        <Step at={2} title="Gates: who is able and allowed">
          {told.dropped.length === 0 ? <Text size="sm">Every candidate is able and allowed to serve it.</Text> : told.dropped.map((each) => <Text key={`${each.provider}/${each.model}`} size="sm">{each.model} is left out: {each.reason}</Text>)}
        </Step>
        <Step at={3} title="Vector: what it is about"><Text size="sm">{receipt.space ? "What the prompt means becomes a point among the examples" : "No vector was made"}{receipt.likeness !== null ? `; the nearest of them are ${share(receipt.likeness)} like it` : ""}.{receipt.space && <Text span size="xs" c="dimmed"> Embedder {receipt.space}</Text>}</Text></Step>
        <Step at={4} title={`Neighbours: the ${receipt.neighbours.length} nearest of ${records} examples`}>
          {receipt.neighbours.length === 0 ? <Text size="sm" c="dimmed">None.</Text> : (
            <>
              <SegmentedControl size="xs" mb="xs" aria-label="Shown as" data={[{ value: "graph", label: "Graph" }, { value: "list", label: "List" }]} value={view} onChange={setView} />
              {view === "graph" && places ? <Graph places={places} receipt={receipt} /> : <Neighbours receipt={receipt} prompts={prompts} />}
            </>
          )}
        </Step>
        <Step at={5} title="Expected quality, as those examples were scored"><Qualities receipt={receipt} names={names} /></Step>
        <Step at={6} title="Expected cost"><Costs receipt={receipt} /></Step>
        <Step at={7} title="Decision">
          <Group gap="xs" mb="xs"><Badge size="lg" tt="none" data-testid="winner">{short(winner?.candidate ?? receipt.served)}</Badge><Badge variant="light" tt="none">{chosen(receipt.rule, receipt.declined)}</Badge></Group>
          <Because receipt={receipt} />
          <Text size="sm" fw={600} mt="sm">The dial</Text>
          <Slider value={bias} onChange={onTurn} min={0} max={1} step={0.01} marks={MARKS} thumbLabel="Quality against cost" label={(value) => value.toFixed(2)} maw={560} mx={56} mb="xl" mt={4} />
          <Turning receipt={receipt} />
        </Step>
      </Timeline>
      <Answers prompt={prompt} receipt={receipt} />
    </Panel>
  );
}

function Step({ at, title, children }: { at: number; title: string; children: ReactNode }) {
  return <Timeline.Item bullet={<Text size="xs" fw={700} inherit={false}>{at}</Text>} title={<Title order={3} size="h5">{title}</Title>}>{children}</Timeline.Item>;
}

function Answers({ prompt, receipt }: { prompt: string; receipt: Receipt }) {
  const [answers, setAnswers] = useState<{ model: string; text: string | null; error: { message: string } | null }[]>();
  const [busy, setBusy] = useState(false);
  useEffect(() => setAnswers(undefined), [prompt]);
  const look = async () => {
    setBusy(true);
    try {
      const models = receipt.standings.map((each) => each.target);
      setAnswers((await post<{ answers: { model: string; text: string | null; error: { message: string } | null }[] }>("/v1/router/preferences/compare", { prompt, models })).answers);
    } catch (problem) {
      failed(problem);
    } finally {
      setBusy(false);
    }
  };
  if (receipt.standings.length === 0) return null;
  return (
    <>
      <Button variant="light" onClick={() => void look()} loading={busy} mt="sm">Ask every candidate</Button>
      {answers && (
        <SimpleGrid cols={{ base: 1, md: Math.min(answers.length, 3) }} mt="sm">
          {answers.map((answer) => <div key={answer.model}><Text size="sm" fw={600}>{short(answer.model)}</Text><Text size="sm" style={{ whiteSpace: "pre-wrap" }}>{answer.text ?? answer.error?.message}</Text></div>)}
        </SimpleGrid>
      )}
    </>
  );
}
