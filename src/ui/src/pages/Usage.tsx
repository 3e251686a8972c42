import { AreaChart, BarChart } from "@mantine/charts";
import "@mantine/charts/styles.layer.css";
import { Button, Grid, Group, MultiSelect, SegmentedControl, SimpleGrid, Stack, Table, Text } from "@mantine/core";
import "../styles/rest";
import { IconDownload } from "@tabler/icons-react";
import { useState } from "react";
import { useAsked } from "../asked";
import { Answered, Figure, Nothing, PageHead, Panel } from "../parts/Panel";
import { useSession } from "../session";
import { colourOf } from "../theme";
import { short } from "../router";
import { brief, cents, count, day, share, usd } from "../words";

type Label = "day" | "tenant" | "key" | "project" | "lane" | "provider" | "model";
interface Sums { requests: number; failures: number; input_tokens: number; cached_tokens: number; output_tokens: number; cost_usd: string; saved_usd: string }
type Row = Sums & Partial<Record<Label, string>>;
interface Report { from: string; to: string; group_by: Label[]; data: Row[]; total: Sums }

const MOST_MODELS = 6;
const SPANS = { "7 days": 7, "30 days": 30, "90 days": 90 } as const;
const ALL: Label[] = ["day", "tenant", "lane", "provider", "model", "project", "key"];
const OWN: Label[] = ["day", "lane", "provider", "model", "project"];

export default function Usage() {
  const { who } = useSession();
  const [span, setSpan] = useState<keyof typeof SPANS>("30 days");
  const [by, setBy] = useState<Label[]>(["model"]);
  const from = new Date(Date.now() - (SPANS[span] - 1) * 86_400_000).toISOString().slice(0, 10);
  const base = who.admin ? "/admin/v1/usage" : "/v1/usage";
  const daily = useAsked<Report>(`${base}?group_by=day,model&from=${from}`, 30_000);
  const grouped = `${base}?group_by=${by.join(",") || "day"}&from=${from}`;
  const report = useAsked<Report>(grouped, 30_000);
  return (
    <Stack>
      <PageHead title="Usage">
        <SegmentedControl aria-label="Time" data={Object.keys(SPANS)} value={span} onChange={(value) => setSpan(value as keyof typeof SPANS)} />
      </PageHead>
      <Answered asked={daily} lines={8}>{(told) => <Pictures told={told} />}</Answered>
      <Panel
        title="In figures"
        right={
          <Group gap="xs">
            <MultiSelect aria-label="Grouped by" data={who.admin ? ALL : OWN} value={by} onChange={(value) => setBy(value as Label[])} w={{ base: 200, sm: 300 }} size="xs" placeholder={by.length ? undefined : "day"} />
            <Button component="a" href={`${grouped}&format=csv`} download="usage.csv" size="xs" variant="light" leftSection={<IconDownload size={14} aria-hidden />}>CSV</Button>
          </Group>
        }
      >
        <Answered asked={report} lines={5}>{(told) => <Figures told={told} />}</Answered>
      </Panel>
    </Stack>
  );
}

function Pictures({ told }: { told: Report }) {
  const paid = new Map<string, number>();
  for (const row of told.data) paid.set(row.model ?? "", (paid.get(row.model ?? "") ?? 0) + Number(row.cost_usd));
  // What hardly costs anything cannot be seen in the picture, and would fill its legend.
  const models = [...paid].filter(([, cost]) => cost > 0).sort((a, b) => b[1] - a[1]).map(([model]) => model);
  const shown = models.slice(0, MOST_MODELS);
  const days = new Map<string, Record<string, number | string>>();
  for (const row of told.data) {
    const date = days.get(row.day as string) ?? { iso: row.day as string, day: day(row.day as string), saved: 0 };
    const key = shown.includes(row.model ?? "") ? `m${shown.indexOf(row.model ?? "")}` : "others";
    date[key] = ((date[key] as number | undefined) ?? 0) + Number(row.cost_usd);
    date.saved = (date.saved as number) + Number(row.saved_usd);
    days.set(row.day as string, date);
  }
  const data = [...days.values()].sort((a, b) => (String(a.iso) < String(b.iso) ? -1 : 1));
  // A name with a dot in it would be taken for a path.
  const series = shown.map((model, at) => ({ name: `m${at}`, label: short(model) || "none", color: colourOf(at) }));
  if (models.length > shown.length) series.push({ name: "others", label: "others", color: "gray.5" });
  const [spent, saved] = [Number(told.total.cost_usd), Number(told.total.saved_usd)];
  return (
    <Stack>
      <Panel title="Altogether" hint={`${day(told.from)} to ${day(told.to)}`}>
        <SimpleGrid cols={{ base: 2, sm: 4 }}>
          <Figure label="Requests" value={count(told.total.requests)} hint={told.total.failures ? `${count(told.total.failures)} failed` : undefined} />
          <Figure label="Spent" value={usd(spent)} />
          <Figure label="Saved" value={usd(saved)} hint={spent + saved > 0 ? `${share(saved / (spent + saved))} less than always the dearest model` : undefined} />
          <Figure label="Tokens" value={count(told.total.input_tokens + told.total.output_tokens)} hint={`${count(told.total.cached_tokens)} from caches`} />
        </SimpleGrid>
      </Panel>
      <Grid>
        <Grid.Col span={{ base: 12, lg: 7 }}>
          <Panel title="Spent by day and model" hint="What was paid for answers">
            {data.length === 0 ? <Nothing>Nothing was asked for in this time.</Nothing> : (
              <BarChart h={280} data={data} dataKey="day" type="stacked" series={series} withLegend legendProps={{ verticalAlign: "bottom" }} tickLine="none" valueFormatter={brief} maxBarWidth={40} yAxisProps={{ width: 60 }} />
            )}
          </Panel>
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 5 }}>
          <Panel title="Saved by day" hint="Against always asking the dearest model">
            {data.length === 0 ? <Nothing>Nothing was asked for in this time.</Nothing> : (
              <AreaChart h={280} data={data} dataKey="day" series={[{ name: "saved", color: "teal.6" }]} tickLine="none" valueFormatter={brief} curveType="monotone" yAxisProps={{ width: 60 }} />
            )}
          </Panel>
        </Grid.Col>
      </Grid>
    </Stack>
  );
}

const COLUMNS: { name: string; wide?: boolean; of: (row: Row) => string }[] = [
  { name: "Requests", of: (row) => count(row.requests) },
  { name: "Failed", wide: true, of: (row) => count(row.failures) },
  { name: "Input tokens", wide: true, of: (row) => count(row.input_tokens) },
  { name: "Output tokens", wide: true, of: (row) => count(row.output_tokens) },
  { name: "Spent", of: (row) => cents(Number(row.cost_usd)) },
  { name: "Saved", of: (row) => cents(Number(row.saved_usd)) },
];

function Figures({ told }: { told: Report }) {
  if (told.data.length === 0) return <Nothing>Nothing was asked for in this time.</Nothing>;
  return (
    <Table.ScrollContainer minWidth={280}>
      <Table striped verticalSpacing={6} horizontalSpacing={8}>
        <Table.Thead>
          <Table.Tr>
            {told.group_by.map((label) => <Table.Th key={label} tt="capitalize">{label}</Table.Th>)}
            {COLUMNS.map(({ name, wide }) => <Table.Th key={name} ta="right" visibleFrom={wide ? "sm" : undefined}>{name}</Table.Th>)}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {told.data.map((row, at) => (
            <Table.Tr key={at}>
              {told.group_by.map((label) => <Table.Td key={label}>{row[label] || <Text span size="sm" c="dimmed">none</Text>}</Table.Td>)}
              {COLUMNS.map(({ name, wide, of }) => <Table.Td key={name} ta="right" className="number" visibleFrom={wide ? "sm" : undefined}>{of(row)}</Table.Td>)}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
