import { Alert, Badge, Group, List, Stack, Table, Text, Title } from "@mantine/core";
import { useMemo } from "react";
import { usePlaces } from "../places";
import { type Receipt, short, type Stood } from "../router";
import { moment } from "../words";
import { Costs, Qualities } from "./Standings";

const FEW = 20;

/** A receipt, for a person. */
export function Why({ receipt }: { receipt: Receipt }) {
  const places = usePlaces(receipt, FEW);
  const prompts = useMemo(() => new Map(places?.nodes.map((node) => [node.id, node.prompt])), [places]);
  const names = receipt.standings.map((each) => each.candidate).sort();
  return (
    <Stack>
      <Group gap="xs"><Badge size="lg" tt="none">{receipt.served}</Badge><Text size="sm" c="dimmed">{moment(receipt.at_s)}, pool {receipt.pool}{receipt.lane ? `, lane ${receipt.lane}` : ""}</Text></Group>
      <Because receipt={receipt} />
      <Turning receipt={receipt} />
      {receipt.text !== null && <div><Title order={3} size="h5">Prompt</Title><Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{receipt.text}</Text></div>}
      {receipt.standings.length > 0 && (
        <>
          <div><Title order={3} size="h5" mb={4}>Expected quality</Title><Qualities receipt={receipt} names={names} /></div>
          <div><Title order={3} size="h5" mb={4}>Expected cost</Title><Costs receipt={receipt} /></div>
        </>
      )}
      {receipt.neighbours.length > 0 && <div><Title order={3} size="h5" mb={4}>Nearest examples</Title><Neighbours receipt={receipt} prompts={prompts} /></div>}
      <div>
        <Title order={3} size="h5" mb={4}>Who would be asked, in this order</Title>
        <List type="ordered" size="sm">{receipt.plan.map((target) => <List.Item key={target}>{target}</List.Item>)}</List>
        {receipt.dropped.map((each) => <Text key={each.target} size="xs" c="dimmed">Left out: {each.target}, {each.reason}</Text>)}
      </div>
    </Stack>
  );
}

/** Why this one, in words. */
export function Because({ receipt }: { receipt: Receipt }) {
  if (receipt.declined !== null) return <Alert color="gray" py="xs" title="The default serves">Learning has no say here: {receipt.declined}.</Alert>;
  const winner = receipt.standings.find((each) => each.target === receipt.served);
  const other = [...receipt.standings].filter((each) => each !== winner && each.score !== null).sort((a, b) => (b.score ?? 0) - (a.score ?? 0))[0];
  if (!winner || winner.quality === null || winner.score === null) return receipt.reason ? <Text size="sm">{receipt.reason}</Text> : null;
  return <Text size="sm">On prompts like this one, <b>{short(winner.candidate)}</b> is expected to reach {hundredth(winner.quality)} of 100. {other && against(winner, other, receipt)}</Text>;
}

const hundredth = (quality: number): string => (100 * quality).toFixed(0);

function against(winner: Stood, other: Stood, receipt: Receipt): string {
  const [name, quality] = [short(other.candidate), other.quality ?? 0];
  const times = winner.cost_ratio && other.cost_ratio ? other.cost_ratio / winner.cost_ratio : null;
  const price = times === null || Math.abs(times - 1) < 0.05 ? "" : times > 1 ? `, for ${factor(times)} the price` : `, for ${factor(times)} of the price`;
  if ((winner.quality ?? 0) > quality) return `${name} comes next, with ${hundredth(quality)}${price}.`;
  return `${name} would reach ${hundredth(quality)}${price}; ${floored(receipt) ? "the quality floor does not ask for that much" : `with the dial at ${receipt.bias.toFixed(2)} that is not worth it`}.`;
}

const factor = (times: number): string => (times < 1 ? (times < 0.1 ? `${(100 * times).toFixed(1)}%` : `${Math.round(100 * times)}%`) : `${times < 10 ? Number(times.toFixed(1)) : Math.round(times)} times`);

/** Of a dial that nobody moved, the floor alone decides: where it stands, another one would win. */
const floored = ({ bias, flips_cheaper, flips_dearer }: Receipt): boolean => (flips_dearer !== null && flips_dearer <= bias) || (flips_cheaper !== null && flips_cheaper >= bias);

/** Where the dial would have to stand for another answer. */
export function Turning({ receipt }: { receipt: Receipt }) {
  const words = [
    receipt.flips_cheaper !== null ? `at ${receipt.flips_cheaper.toFixed(2)} and below a cheaper model would win` : "",
    receipt.flips_dearer !== null ? `at ${receipt.flips_dearer.toFixed(2)} and above a dearer one would win` : "",
  ].filter(Boolean);
  return <Text size="sm" data-testid="turning">{floored(receipt) ? "The dial was not moved, so the quality floor decides" : `The dial stands at ${receipt.bias.toFixed(2)}`}; {words.length ? words.join(", ") : "no position of it would change this"}.{receipt.confidence !== null && ` It is ${Math.round(100 * receipt.confidence)}% sure of this order.`}</Text>;
}

export function Neighbours({ receipt, prompts }: { receipt: Receipt; prompts?: Map<number, string> }) {
  const names = receipt.standings.map((each) => each.candidate);
  return (
    <Table.ScrollContainer minWidth={360}>
      <Table verticalSpacing={4}>
        <Table.Thead><Table.Tr><Table.Th>Example</Table.Th><Table.Th ta="right">Like it</Table.Th>{names.map((name) => <Table.Th key={name} ta="right">{short(name)}</Table.Th>)}</Table.Tr></Table.Thead>
        <Table.Tbody>
          {receipt.neighbours.map((each) => (
            <Table.Tr key={each.example}>
              <Table.Td maw={320}><Text size="sm" truncate>{prompts?.get(each.example) ?? `number ${each.example}`}</Text></Table.Td>
              <Table.Td ta="right" className="number">{each.similarity.toFixed(2)}</Table.Td>
              {names.map((name) => <Table.Td key={name} ta="right" className="number">{each.scores[name]?.toFixed(2) ?? "-"}</Table.Td>)}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
