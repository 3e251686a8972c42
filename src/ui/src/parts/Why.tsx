import { Alert, Badge, Group, List, Stack, Table, Text, Title } from "@mantine/core";
import { type Receipt, short } from "../router";
import { moment } from "../words";
import { Costs, Qualities } from "./Standings";

/** A receipt, for a person. */
export function Why({ receipt }: { receipt: Receipt }) {
  const names = receipt.standings.map((each) => each.candidate).sort();
  return (
    <Stack>
      <Group gap="xs"><Badge size="lg" tt="none">{receipt.served}</Badge><Text size="sm" c="dimmed">{moment(receipt.at_s)}, pool {receipt.pool}{receipt.lane ? `, lane ${receipt.lane}` : ""}</Text></Group>
      {receipt.declined ? <Alert color="gray" title="The default served">{receipt.declined}</Alert> : receipt.reason && <Text size="sm">{receipt.reason}</Text>}
      <Turning receipt={receipt} />
      {receipt.text !== null && <div><Title order={3} size="h5">Prompt</Title><Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{receipt.text}</Text></div>}
      {receipt.standings.length > 0 && (
        <>
          <div><Title order={3} size="h5" mb={4}>Expected quality</Title><Qualities receipt={receipt} names={names} /></div>
          <div><Title order={3} size="h5" mb={4}>Expected cost</Title><Costs receipt={receipt} /></div>
        </>
      )}
      {receipt.neighbours.length > 0 && <div><Title order={3} size="h5" mb={4}>Nearest examples</Title><Neighbours receipt={receipt} /></div>}
      <div>
        <Title order={3} size="h5" mb={4}>Plan</Title>
        <List type="ordered" size="sm">{receipt.plan.map((target) => <List.Item key={target}>{target}</List.Item>)}</List>
        {receipt.dropped.map((each) => <Text key={each.target} size="xs" c="dimmed">left out: {each.target}, {each.reason}</Text>)}
      </div>
    </Stack>
  );
}

/** Where the dial would have to stand for another answer. */
export function Turning({ receipt }: { receipt: Receipt }) {
  const words = [
    receipt.flips_cheaper !== null ? `at ${receipt.flips_cheaper.toFixed(2)} and below a cheaper model would win` : "",
    receipt.flips_dearer !== null ? `at ${receipt.flips_dearer.toFixed(2)} and above a dearer one would win` : "",
  ].filter(Boolean);
  return <Text size="sm" data-testid="turning">The dial stands at {receipt.bias.toFixed(2)}; {words.length ? words.join(", ") : "no position of it would change this"}.{receipt.confidence !== null && ` ${Math.round(100 * receipt.confidence)}% sure.`}</Text>;
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
