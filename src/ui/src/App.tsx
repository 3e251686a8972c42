import { ActionIcon, Alert, Anchor, AppShell, Badge, Burger, Button, Center, Group, Loader, NavLink, Text, TextInput, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconAdjustments, IconChartBar, IconGauge, IconListDetails, IconLogout, IconMoon, IconRoute, IconSchool, IconSun } from "@tabler/icons-react";
import { type ComponentType, lazy, Suspense, useEffect, useState } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { useSession } from "./session";

interface Page {
  path: string;
  name: string;
  icon: ComponentType<{ size?: number; "aria-hidden"?: boolean }>;
  view: ComponentType;
}

const PAGES: Page[] = [
  { path: "/", name: "Overview", icon: IconGauge, view: lazy(() => import("./pages/Overview")) },
  { path: "/route", name: "See it route", icon: IconRoute, view: lazy(() => import("./pages/SeeRoute")) },
  { path: "/teach", name: "Teach", icon: IconSchool, view: lazy(() => import("./pages/Teach")) },
  { path: "/decisions", name: "Decisions and runs", icon: IconListDetails, view: lazy(() => import("./pages/Decisions")) },
  { path: "/usage", name: "Usage", icon: IconChartBar, view: lazy(() => import("./pages/Usage")) },
  { path: "/settings", name: "Settings", icon: IconAdjustments, view: lazy(() => import("./pages/Settings")) },
];

export function App() {
  const [opened, { toggle, close }] = useDisclosure();
  const [location] = useLocation();
  const { who, signOut } = useSession();
  const page = PAGES.find(({ path }) => path === location);

  useEffect(() => {
    document.title = page ? `${page.name} · Laneway` : "Laneway";
    close();
  }, [page, close]);

  return (
    <AppShell header={{ height: 56 }} navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !opened } }} padding="md">
      <AppShell.Header className="card">
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Anchor href="#content" className="skip">Skip to the content</Anchor>
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={opened ? "Close the menu" : "Open the menu"} />
            <Text fw={700} size="lg">Laneway</Text>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <WhoseData />
            <Scheme />
            {who.signed_in && (
              <ActionIcon variant="default" size="lg" aria-label="Sign out" onClick={() => void signOut()}><IconLogout size={18} aria-hidden /></ActionIcon>
            )}
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" className="card" aria-label="Pages">
        {PAGES.map(({ path, name, icon: Icon }) => (
          <NavLink key={path} component={Link} href={path} label={name} active={path === location} leftSection={<Icon size={18} aria-hidden />} aria-current={path === location ? "page" : undefined} />
        ))}
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        {who.open && (
          <Alert color="yellow" mb="md" py="xs" title="Open on this machine">
            No key is configured, so whoever uses this machine may use and administer the gateway. Make a key under Settings to close it.
          </Alert>
        )}
        <Suspense fallback={<Center p="xl"><Loader aria-label="Loading" /></Center>}>
          <Switch>
            {PAGES.map(({ path, view }) => <Route key={path} path={path} component={view} />)}
            <Route><Redirect to="/" /></Route>
          </Switch>
        </Suspense>
      </AppShell.Main>
    </AppShell>
  );
}

/** A caller sees its own tenant; an operator says whose data he looks at. */
function WhoseData() {
  const { who, tenant, choose } = useSession();
  const [written, setWritten] = useState(tenant);
  if (!who.admin) return <Badge variant="light" size="lg" tt="none">{tenant}</Badge>;
  return (
    <form onSubmit={(event) => { event.preventDefault(); choose(written.trim() || "default"); }}>
      <Group gap={4} wrap="nowrap">
        <TextInput aria-label="Tenant to look at" value={written} onChange={(event) => setWritten(event.currentTarget.value)} size="xs" w={{ base: 96, sm: 140 }} />
        {written.trim() !== tenant && <Button type="submit" size="xs" variant="light">Show</Button>}
      </Group>
    </form>
  );
}

function Scheme() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme("light") === "dark";
  return (
    <ActionIcon variant="default" size="lg" aria-label={dark ? "Use light colours" : "Use dark colours"} onClick={() => setColorScheme(dark ? "light" : "dark")}>
      {dark ? <IconSun size={18} aria-hidden /> : <IconMoon size={18} aria-hidden />}
    </ActionIcon>
  );
}
