import { Button, Paper, PasswordInput, Stack, Text, Title } from "@mantine/core";
import "../styles/rest";
import { type FormEvent, useState } from "react";
import { post, prove } from "../api";

export default function SignIn({ onDone }: { onDone: () => Promise<void> }) {
  const [key, setKey] = useState("");
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const told = await post<{ csrf: string }>("/ui/session", { key });
      prove(told.csrf);
      await onDone();
    } catch (problem) {
      setError((problem as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Paper component="main" withBorder p="xl" w={400} maw="100%" className="card">
      <form onSubmit={submit}>
        <Stack>
          <div className="brand"><img src="/ui/icon.svg" alt="" width={34} height={34} /><Title order={1} size="h2">Laneway</Title></div>
          <Text c="dimmed" size="sm">Sign in with the admin key or with a key of yours. It is sent once and not kept in this browser.</Text>
          <PasswordInput label="Key" value={key} onChange={(event) => setKey(event.currentTarget.value)} error={error} autoFocus required autoComplete="current-password" />
          <Button type="submit" loading={busy}>Sign in</Button>
        </Stack>
      </form>
    </Paper>
  );
}
