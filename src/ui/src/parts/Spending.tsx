import { BulletChart } from "@mantine/charts";
import "@mantine/charts/styles.layer.css";
import { Alert, Badge, Group, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconHandStop } from "@tabler/icons-react";
import { type Listed } from "../api";
import { useAsked } from "../asked";
import { brief, minute, scoped, share, usd } from "../words";
import { Answered, Nothing, Panel } from "./Panel";

interface Account { account: string; spent_usd: string; held_usd: string; left_usd: string; resets_at_s: number | null }
interface Kill { scope: string; reason: string; at_s: number }
export interface Budget {
  name: string; from: string; cap_usd: string; period: string; zone: string; alerts: number[];
  key?: string; tenant?: string; project?: string; lane?: string; tier?: string;
  accounts: Account[];
}
export interface Budgets extends Listed<Budget> { kills: Kill[] }

const SCOPES = ["tenant", "key", "project", "lane", "tier"] as const;
const PERIODS: Record<string, string> = { day: "today", month: "this month", total: "altogether" };

export function Spending() {
  const budgets = useAsked<Budgets>("/admin/v1/budgets", 3000);
  return (
    <Panel title="Budgets" hint="Spent against each cap; a call that would pass a cap is not made">
      <Answered asked={budgets}>
        {({ data, kills }) => (
          <Stack>
            {kills.map((kill) => (
              <Alert key={kill.scope} color="red" py="xs" icon={<IconHandStop size={18} aria-hidden />} title={`Paid calls are stopped: ${scoped(kill.scope)}`}>
                {kill.reason}, since {minute(kill.at_s)}
              </Alert>
            ))}
            {data.length === 0 ? <Nothing>No budgets are set: nothing limits what is spent. Settings adds one.</Nothing> : (
              <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
                {data.flatMap((budget) => budget.accounts.map((account) => <Spent key={account.account} budget={budget} account={account} stopped={kills.some((kill) => stops(kill, budget))} />))}
              </SimpleGrid>
            )}
          </Stack>
        )}
      </Answered>
    </Panel>
  );
}

/** Whether this kill stops all that the budget is for. */
function stops(kill: Kill, budget: Budget): boolean {
  return kill.scope === "all" || kill.scope.split(" ").every((part) => SCOPES.some((name) => part === `${name}:${budget[name]}`));
}

function Spent({ budget, account, stopped }: { budget: Budget; account: Account; stopped: boolean }) {
  const [cap, spent, held] = [Number(budget.cap_usd), Number(account.spent_usd), Number(account.held_usd)];
  const warned = Math.min(1, ...budget.alerts);
  const part = cap > 0 ? spent / cap : 1;
  const colour = stopped || part >= 1 ? "red.6" : part >= warned ? "orange.6" : "teal.6";
  const scope = SCOPES.filter((name) => budget[name]).map((name) => `${name} ${budget[name]}`).join(", ");
  return (
    <div role="group" aria-label={`Budget ${budget.name}`}>
      <Group justify="space-between" gap="xs" mb={4} wrap="nowrap" align="flex-start">
        <div>
          <Group gap={6}>
            <Text size="sm" fw={600}>{budget.name}</Text>
            {stopped && <Badge size="sm" color="red" variant="light" tt="none">stopped</Badge>}
            {!stopped && part >= 1 && <Badge size="sm" color="red" variant="light" tt="none">used up</Badge>}
          </Group>
          <Text size="xs" c="dimmed">{scope && scope !== `tenant ${budget.name}` ? `${scope}, ` : ""}{PERIODS[budget.period] ?? budget.period}{budget.accounts.length > 1 ? `, ${account.account}` : ""}</Text>
        </div>
        <div>
          <Text size="sm" ta="right" className="number"><b>{usd(spent)}</b> of {brief(cap)}</Text>
          <Text size="xs" ta="right" c="dimmed" className="number">{share(part)}{held > 0 ? `, ${usd(held)} held for calls under way` : ""}</Text>
        </div>
      </Group>
      <BulletChart
        role="img"
        aria-label={`${budget.name}: ${usd(spent)} of ${brief(cap)} spent`}
        className={stopped ? "spent stopped" : "spent"}
        value={Math.min(spent, cap)}
        target={warned < 1 ? warned * cap : undefined}
        targetColor="orange.6"
        targetRatio={1}
        barColor={colour}
        size={18}
        barSize={18}
        ranges={[{ value: Math.min(spent + held, cap), color: "var(--lane-kept)" }, { value: cap || 1, color: "var(--lane-free)" }]}
        valueFormatter={brief}
      />
    </div>
  );
}
