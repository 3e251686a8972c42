import { Alert, Group, Paper, Skeleton, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import type { Asked } from "../asked";

export function Panel({ title, hint, right, children }: { title: string; hint?: string; right?: ReactNode; children: ReactNode }) {
  return (
    <Paper component="section" withBorder p="md" className="card" aria-label={title}>
      <Group justify="space-between" mb="sm" wrap="wrap" gap="xs">
        <div>
          <Title order={2} size="h4">{title}</Title>
          {hint && <Text size="sm" c="dimmed">{hint}</Text>}
        </div>
        {right}
      </Group>
      {children}
    </Paper>
  );
}

/** What was asked for, or why it is not there. */
export function Answered<T>({ asked, children, lines = 3 }: { asked: Asked<T>; children: (data: T) => ReactNode; lines?: number }) {
  if (asked.data === undefined && asked.error) return <Alert color={asked.status === 404 ? "gray" : "red"}>{asked.error}</Alert>;
  if (asked.data === undefined) {
    return <Stack gap="xs" aria-busy>{Array.from({ length: lines }, (_, at) => <Skeleton key={at} height={18} />)}</Stack>;
  }
  return (
    <>
      {asked.error && <Alert color="orange" mb="xs" py={4}>{asked.error} This is what it told before.</Alert>}
      {children(asked.data)}
    </>
  );
}

export function Nothing({ children }: { children: ReactNode }) {
  return <Text c="dimmed" size="sm" py="sm">{children}</Text>;
}

export function Figure({ label, value, hint }: { label: string; value: ReactNode; hint?: string }) {
  return (
    <div>
      <Text size="xs" c="dimmed">{label}</Text>
      <Text size="xl" fw={650} className="number">{value}</Text>
      {hint && <Text size="xs" c="dimmed">{hint}</Text>}
    </div>
  );
}

export function PageHead({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Group justify="space-between" gap="xs" mih={36}>
      <Title order={1} size="h3">{title}</Title>
      {children}
    </Group>
  );
}

/** What a colour of a picture means. */
export function Key({ colour, words }: { colour: string; words: string }) {
  return <Group gap={6} wrap="nowrap"><span className="key" style={{ background: colour }} /><Text size="xs" c="dimmed">{words}</Text></Group>;
}
