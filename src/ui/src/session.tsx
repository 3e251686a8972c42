// Who the page speaks for: asked once, and again after signing in or out.

import { Alert, Button, Center, Loader, Paper, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { createContext, type FormEvent, type ReactNode, useCallback, useContext, useEffect, useState } from "react";
import { get, lookAt, post, prove, remove, type Who } from "./api";

interface Session {
  who: Who;
  /** The tenant that is looked at: an operator may choose, a caller has one. */
  tenant: string;
  choose: (tenant: string) => void;
  signOut: () => Promise<void>;
}

const LOOKS_AT = "laneway-looks-at";
const Room = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(Room);
  if (!session) throw new Error("asked for the session outside of its room");
  return session;
}

export function SessionRoom({ children }: { children: ReactNode }) {
  const [who, setWho] = useState<Who>();
  const [error, setError] = useState<string>();
  const [tenant, setTenant] = useState("");

  const look = useCallback(async () => {
    try {
      const told = await get<Who>("/ui/session");
      prove(told.csrf);
      setWho(told);
      // Whom an operator looks at outlives a reload of this tab.
      const kept = told.admin ? window.sessionStorage.getItem(LOOKS_AT) : null;
      lookAt(kept ?? "");
      setTenant(kept ?? told.tenant ?? "");
      setError(undefined);
    } catch (problem) {
      setError((problem as Error).message);
    }
  }, []);
  useEffect(() => void look(), [look]);

  if (error) return <Centred><Alert color="red" title="The page cannot start">{error}</Alert></Centred>;
  if (!who) return <Centred><Loader aria-label="Loading" /></Centred>;
  if (!who.signed_in && !who.open) return <SignIn onDone={look} />;

  const choose = (name: string) => {
    lookAt(who.admin ? name : "");
    if (who.admin) window.sessionStorage.setItem(LOOKS_AT, name);
    setTenant(name);
  };
  const signOut = async () => {
    await remove("/ui/session");
    window.sessionStorage.removeItem(LOOKS_AT);
    prove("");
    lookAt("");
    await look();
  };
  return <Room.Provider value={{ who, tenant, choose, signOut }}>{children}</Room.Provider>;
}

function Centred({ children }: { children: ReactNode }) {
  return <Center mih="100vh" p="md">{children}</Center>;
}

function SignIn({ onDone }: { onDone: () => Promise<void> }) {
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
    <Centred>
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
    </Centred>
  );
}
