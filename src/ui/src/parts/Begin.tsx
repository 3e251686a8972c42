import { ActionIcon, Anchor, Button, Code, CopyButton, Group, List, Paper, Skeleton, Text, ThemeIcon, Title } from "@mantine/core";
import { IconCheck, IconCircle, IconCopy } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import type { Listed } from "../api";
import { useAsked } from "../asked";
import type { Status } from "../router";
import { useSession } from "../session";

const HIDDEN = "laneway-first-steps-hidden";

/** What to do first, for whoever sees this for the first time; gone when all of it is done, or when it is hidden. */
export function Begin({ asked }: { asked: boolean }) {
  const { who } = useSession();
  const status = useAsked<Status>("/v1/router/status", 15_000);
  const models = useAsked<Listed<{ id: string }>>("/v1/models");
  const taught = (status.data?.records ?? 0) > 0;
  const [hidden, setHidden] = useState(() => window.localStorage.getItem(HIDDEN) !== null);
  const hide = () => {
    window.localStorage.setItem(HIDDEN, "yes");
    setHidden(true);
  };
  const known = status.data !== undefined && models.data !== undefined;
  // Where nobody needs a key it is there from the start: what comes in above pushes away what is being read.
  if (hidden || (!who.open && (!known || (asked && taught)))) return null;
  const model = status.data?.pools[0]?.pool ?? models.data?.data[0]?.id ?? "MODEL";
  const command = `curl ${window.location.origin}/v1/chat/completions -H 'content-type: application/json'${who.open ? "" : " -H 'authorization: Bearer YOUR-KEY'"} -d '{"model": "${model}", "messages": [{"role": "user", "content": "What is 12 + 30?"}]}'`;
  return (
    <Paper component="section" withBorder p="md" className="card" aria-label="First steps">
      <Group justify="space-between"><Title order={2} size="h4">First steps</Title><Button size="compact-sm" variant="subtle" color="gray" onClick={hide}>Hide</Button></Group>
      <Text size="sm" c="dimmed" mb="md" maw={680}>Laneway stands between your programs and the models they use. It sends each request to the cheapest model that is good enough for it, moves on to another when one fails, and never spends more than you allow.</Text>
      <List spacing="md" center={false} listStyleType="none" className="steps">
        <Step done={asked} title="Send a request">
          <Text size="sm" mb={6}>Any OpenAI, Anthropic or Ollama client works: only its base address changes. It appears below as it happens.</Text>
          <Group gap={6} wrap="nowrap" align="flex-start">
            {known ? <Code block className="command">{command}</Code> : <Skeleton height={56} aria-busy />}
            <CopyButton value={command}>{({ copied, copy }) => <ActionIcon variant="light" size="lg" aria-label={copied ? "Copied" : "Copy the command"} onClick={copy}>{copied ? <IconCheck size={16} aria-hidden /> : <IconCopy size={16} aria-hidden />}</ActionIcon>}</CopyButton>
          </Group>
        </Step>
        <Step done={taught} title="Teach it what is good enough">
          <Text size="sm"><Anchor component={Link} href="/teach">Compare answers</Anchor> of several models to your own prompts, or teach a file of scored prompts. Then <Anchor component={Link} href="/route">see it route</Anchor>, step by step.</Text>
        </Step>
        {who.admin && (
          <Step done={!who.open} title="Close the door, and set a limit">
            <Text size="sm"><Anchor component={Link} href="/settings">Settings</Anchor> makes keys and budgets. Hosts and lanes stand in the configuration file.</Text>
          </Step>
        )}
      </List>
    </Paper>
  );
}

function Step({ done, title, children }: { done: boolean; title: string; children: ReactNode }) {
  return (
    <List.Item icon={<ThemeIcon size={24} radius="xl" variant={done ? "filled" : "light"} color={done ? "teal" : "gray"}>{done ? <IconCheck size={16} aria-label="done" /> : <IconCircle size={12} aria-label="to do" />}</ThemeIcon>}>
      <Text fw={600} size="sm">{title}</Text>
      {children}
    </List.Item>
  );
}
