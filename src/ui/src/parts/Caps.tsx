import { Alert, Badge, Button, Group, Modal, NumberInput, Progress, Select, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { patch, post, remove } from "../api";
import { useAsked } from "../asked";
import { moment, scoped, until, usd } from "../words";
import { Answered, Nothing, Panel } from "./Panel";
import type { Budget, Budgets } from "./Spending";
import { tried } from "./tell";

const SCOPES = ["tenant", "key", "project", "lane", "tier"] as const;

export function Caps() {
  const budgets = useAsked<Budgets>("/admin/v1/budgets", 10_000);
  const [making, setMaking] = useState(false);
  const [changing, setChanging] = useState<Budget>();
  return (
    <Panel title="Budgets" hint="Hard caps; what was spent stays spent when a cap changes" right={<Group gap="xs">{budgets.data && <Kill kills={budgets.data.kills} again={budgets.again} />}<Button size="xs" onClick={() => setMaking(true)}>Add a budget</Button></Group>}>
      <Answered asked={budgets}>
        {({ data, kills }) => (
          <Stack>
            <Killed kills={kills} again={budgets.again} />
            {data.length === 0 && <Nothing>No budgets are set: nothing limits what is spent.</Nothing>}
            {data.map((budget) => <Cap key={budget.name} budget={budget} onChange={() => setChanging(budget)} again={budgets.again} />)}
          </Stack>
        )}
      </Answered>
      <NewBudget opened={making} onClose={() => { setMaking(false); budgets.again(); }} />
      {changing && <Change budget={changing} onClose={() => { setChanging(undefined); budgets.again(); }} />}
    </Panel>
  );
}

function scopeOf(budget: Budget): string {
  const named = SCOPES.filter((name) => budget[name]).map((name) => `${name} ${budget[name] === "*" ? "each" : budget[name]}`);
  return named.join(", ") || "everything";
}

function Cap({ budget, onChange, again }: { budget: Budget; onChange: () => void; again: () => void }) {
  const drop = async () => {
    if (await tried(() => remove(`/admin/v1/budgets/${encodeURIComponent(budget.name)}`), "The budget is removed.")) again();
  };
  return (
    <div>
      <Group justify="space-between" gap="xs">
        <Group gap="xs">
          <Text fw={600} size="sm">{budget.name}</Text>
          <Badge variant="light" tt="none">{usd(Number(budget.cap_usd))} a {budget.period}</Badge>
          <Text size="sm" c="dimmed">{scopeOf(budget)}</Text>
        </Group>
        {budget.from === "api" ? (
          <Group gap={4}>
            <Button size="compact-xs" variant="light" onClick={onChange}>Change</Button>
            <Button size="compact-xs" variant="light" color="red" onClick={() => void drop()}>Remove</Button>
          </Group>
        ) : <Text size="xs" c="dimmed">in the configuration file</Text>}
      </Group>
      {budget.accounts.map((account) => {
        const part = Number(budget.cap_usd) > 0 ? (100 * Number(account.spent_usd)) / Number(budget.cap_usd) : 0;
        return (
          <div key={account.account}>
            <Progress value={part} my={6} size="lg" color={part >= 100 ? "red" : part >= 80 ? "orange" : "teal"} aria-label={`${account.account}: ${Math.round(part)} % spent`} />
            <Text size="xs" c="dimmed">{usd(Number(account.spent_usd))} spent, {Number(account.held_usd) > 0 ? `${usd(Number(account.held_usd))} held for calls under way, ` : ""}{usd(Number(account.left_usd))} left{account.resets_at_s ? `, begins anew ${until(account.resets_at_s)}` : ""}</Text>
          </div>
        );
      })}
    </div>
  );
}

function Killed({ kills, again }: { kills: Budgets["kills"]; again: () => void }) {
  const unkill = async (scope: string) => {
    await tried(() => post("/admin/v1/budgets/unkill", { scope, reason: "by hand, from the page" }), "Paid calls are allowed again.");
    again();
  };
  return kills.map((each) => (
    <Alert key={each.scope} color="red" title={`Hard kill: no paid calls for ${scoped(each.scope)}`}>
      <Group justify="space-between"><Text size="sm">{each.reason} (since {moment(each.at_s)})</Text><Button size="xs" color="red" variant="outline" onClick={() => void unkill(each.scope)}>Take it back</Button></Group>
    </Alert>
  ));
}

function Kill({ kills, again }: { kills: Budgets["kills"]; again: () => void }) {
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState("");
  const everything = kills.find((kill) => kill.scope === "all" || kill.scope === "*" || kill.scope === "");
  const kill = async () => {
    if (await tried(() => post("/admin/v1/budgets/kill", { scope: "all", reason }), "Paid calls are stopped.")) setAsking(false);
    again();
  };
  return (
    <>
      {!everything && <Button color="red" variant="outline" size="xs" onClick={() => setAsking(true)}>Hard kill</Button>}
      <Modal opened={asking} onClose={() => setAsking(false)} title="Stop every paid call?">
        <Stack>
          <Text size="sm">From now on no paid model is called, whatever lane, header or fallback asks for it, until somebody takes this back. Free local models go on.</Text>
          <TextInput label="Reason" description="It is written to the audit" value={reason} onChange={(event) => setReason(event.currentTarget.value)} required />
          <Group justify="flex-end"><Button variant="default" onClick={() => setAsking(false)}>Cancel</Button><Button color="red" disabled={!reason.trim()} onClick={() => void kill()}>Stop paid calls</Button></Group>
        </Stack>
      </Modal>
    </>
  );
}

function NewBudget({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const [name, setName] = useState("");
  const [cap, setCap] = useState<number | string>(10);
  const [period, setPeriod] = useState<string | null>("day");
  const [scope, setScope] = useState<string | null>("tenant");
  const [whose, setWhose] = useState("*");
  const make = async () => {
    const body = { name, cap_usd: String(cap), period, ...(scope ? { [scope]: whose } : {}) };
    if (await tried(() => post("/admin/v1/budgets", body), "The budget holds from the next request on.")) onClose();
  };
  return (
    <Modal opened={opened} onClose={onClose} title="Add a budget">
      <form onSubmit={(event) => { event.preventDefault(); void make(); }}>
        <Stack gap="sm">
          <TextInput label="Name" value={name} onChange={(event) => setName(event.currentTarget.value)} required />
          <NumberInput label="Cap" prefix="$" min={0} decimalScale={6} value={cap} onChange={setCap} required />
          <Select label="Period" data={["day", "month", "total"]} value={period} onChange={setPeriod} allowDeselect={false} />
          <Group grow>
            <Select label="For" data={[...SCOPES]} value={scope} onChange={setScope} clearable placeholder="everything" />
            <TextInput label="Which" description="* for each one by itself" value={whose} onChange={(event) => setWhose(event.currentTarget.value)} disabled={!scope} />
          </Group>
          <Group justify="flex-end"><Button type="submit">Add</Button></Group>
        </Stack>
      </form>
    </Modal>
  );
}

function Change({ budget, onClose }: { budget: Budget; onClose: () => void }) {
  const [cap, setCap] = useState<number | string>(Number(budget.cap_usd));
  const change = async () => {
    if (await tried(() => patch(`/admin/v1/budgets/${encodeURIComponent(budget.name)}`, { cap_usd: String(cap) }), "The cap is changed.")) onClose();
  };
  return (
    <Modal opened onClose={onClose} title={`Change ${budget.name}`}>
      <form onSubmit={(event) => { event.preventDefault(); void change(); }}>
        <NumberInput label="Cap" prefix="$" min={0} decimalScale={6} value={cap} onChange={setCap} mb="md" />
        <Group justify="flex-end"><Button type="submit" disabled={Number(cap) === Number(budget.cap_usd)}>Save</Button></Group>
      </form>
    </Modal>
  );
}
