// Who the page speaks for: asked once, and again after signing in or out.

import { Alert, Center, Loader } from "@mantine/core";
import { createContext, type ReactNode, Suspense, useCallback, useContext, useEffect, useState } from "react";
import { get, lookAt, prove, remove, type Who } from "./api";
import { part } from "./part";

interface Session {
  who: Who;
  /** The tenant that is looked at: an operator may choose, a caller has one. */
  tenant: string;
  choose: (tenant: string) => void;
  signOut: () => Promise<void>;
}

const SignIn = part(() => import("./parts/SignIn"));
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
  if (!who.signed_in && !who.open) return <Centred><Suspense fallback={<Loader aria-label="Loading" />}><SignIn onDone={look} /></Suspense></Centred>;

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
