import { Alert, Badge, Button, Code, CopyButton, Group, Modal, Table, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { type Listed, post, remove } from "../api";
import { useAsked } from "../asked";
import { moment } from "../words";
import { Answered, Nothing, Panel } from "./Panel";
import { tried } from "./tell";

interface Key { id: string; tenant: string; name: string; last4: string; created_s: number; revoked_s: number | null }

export function Keys() {
  const keys = useAsked<Listed<Key>>("/admin/v1/keys");
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<Key>();
  const revoke = async () => {
    if (!ending) return;
    await tried(() => remove(`/admin/v1/keys/${ending.id}`), "The key is revoked.");
    setEnding(undefined);
    keys.again();
  };
  return (
    <Panel title="Keys" hint="A key is shown once, when it is made" right={<Button size="xs" onClick={() => setMaking(true)}>Make a key</Button>}>
      <Answered asked={keys}>
        {({ data }) => data.length === 0 ? <Nothing>No keys were made here. Those in the configuration file are not listed.</Nothing> : (
          <Table.ScrollContainer minWidth={280}>
            <Table verticalSpacing={6}>
              <Table.Thead><Table.Tr><Table.Th>Key</Table.Th><Table.Th>Tenant</Table.Th><Table.Th>Note</Table.Th><Table.Th visibleFrom="sm">Made</Table.Th><Table.Th /></Table.Tr></Table.Thead>
              <Table.Tbody>
                {data.map((key) => (
                  <Table.Tr key={key.id}>
                    <Table.Td><Code>...{key.last4}</Code></Table.Td><Table.Td>{key.tenant}</Table.Td><Table.Td>{key.name}</Table.Td><Table.Td visibleFrom="sm">{moment(key.created_s)}</Table.Td>
                    <Table.Td ta="right">{key.revoked_s ? <Badge color="gray">revoked</Badge> : <Button size="compact-xs" color="red" variant="light" onClick={() => setEnding(key)}>Revoke</Button>}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Answered>
      <NewKey opened={making} onClose={() => { setMaking(false); keys.again(); }} />
      <Modal opened={ending !== undefined} onClose={() => setEnding(undefined)} title="Revoke this key?">
        <Text size="sm" mb="md">Requests with the key ending in <Code>{ending?.last4}</Code> of {ending?.tenant} will be refused within seconds. This cannot be taken back.</Text>
        <Group justify="flex-end"><Button variant="default" onClick={() => setEnding(undefined)}>Keep it</Button><Button color="red" onClick={() => void revoke()}>Revoke</Button></Group>
      </Modal>
    </Panel>
  );
}

function NewKey({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const [tenant, setTenant] = useState("default");
  const [name, setName] = useState("");
  const [made, setMade] = useState<string>();
  const close = () => {
    setMade(undefined);
    setName("");
    onClose();
  };
  const make = () => tried(async () => setMade((await post<{ key: string }>("/admin/v1/keys", { tenant, name })).key));
  return (
    <Modal opened={opened} onClose={close} title={made ? "The new key" : "Make a key"}>
      {made ? (
        <>
          <Alert color="yellow" mb="sm">This is the only time it is shown.</Alert>
          <Code block mb="md">{made}</Code>
          <Group justify="flex-end">
            <CopyButton value={made}>{({ copied, copy }) => <Button variant="light" onClick={copy}>{copied ? "Copied" : "Copy"}</Button>}</CopyButton>
            <Button onClick={close}>Done</Button>
          </Group>
        </>
      ) : (
        <form onSubmit={(event) => { event.preventDefault(); void make(); }}>
          <TextInput label="Tenant" value={tenant} onChange={(event) => setTenant(event.currentTarget.value)} required mb="sm" />
          <TextInput label="Note" description="To recognise it by" value={name} onChange={(event) => setName(event.currentTarget.value)} mb="md" />
          <Group justify="flex-end"><Button type="submit">Make it</Button></Group>
        </form>
      )}
    </Modal>
  );
}
