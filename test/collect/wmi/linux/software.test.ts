/** The lists that programs print which this machine does not have, or which do not run on it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePackages, parseServices } from "../../../../src/collect/wmi/linux/software.ts";

test("systemd's units become services in WMI's words", () => {
  const shown = [
    "MainPID=812\nId=ssh.service\nDescription=OpenBSD Secure Shell server\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled",
    "MainPID=0\nId=rsync.service\nDescription=a=b\nLoadState=loaded\nActiveState=failed\nUnitFileState=disabled",
    "MainPID=0\nId=x.service\nDescription=\nLoadState=masked\nActiveState=inactive\nUnitFileState=masked",
    "MainPID=0\nId=gone.service\nDescription=gone.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=",
    "MainPID=0\nId=gen.service\nDescription=gen\nLoadState=loaded\nActiveState=activating\nUnitFileState=generated\n",
  ].join("\n\n");
  const service = (name: string, description: string | null) => ({
    Caption: description,
    Description: description,
    DisplayName: description,
    Name: name,
    SystemName: "build7",
  });
  assert.deepEqual(parseServices(shown, "build7"), [
    {
      ...service("ssh", "OpenBSD Secure Shell server"),
      ProcessId: 812,
      Started: true,
      StartMode: "Auto",
      State: "Running",
    },
    { ...service("rsync", "a=b"), ProcessId: 0, Started: false, StartMode: "Manual", State: "Stopped" },
    { ...service("x", null), ProcessId: 0, Started: false, StartMode: "Disabled", State: "Stopped" },
    { ...service("gen", "gen"), ProcessId: 0, Started: false, StartMode: null, State: "Start Pending" },
  ]);
  assert.deepEqual(parseServices("", "build7"), []);
});

test("rpm's list has versions with their release, and leaves out what it does not know", () => {
  const listed =
    "installed\tbash.x86_64\tbash\t5.2.26-3.fc40\tFedora Project\tThe GNU Bourne Again shell\n" +
    "installed\tgpg-pubkey.(none)\tgpg-pubkey\ta15b79cc-63d04c2c\t(none)\tpublic key\n" +
    "config-files\told\told\t1\tx\ty\n";
  assert.deepEqual(parsePackages(listed), [
    {
      Caption: "bash",
      Description: "The GNU Bourne Again shell",
      IdentifyingNumber: "bash.x86_64",
      Name: "bash",
      Vendor: "Fedora Project",
      Version: "5.2.26-3.fc40",
    },
    {
      Caption: "gpg-pubkey",
      Description: "public key",
      IdentifyingNumber: "gpg-pubkey.(none)",
      Name: "gpg-pubkey",
      Vendor: null,
      Version: "a15b79cc-63d04c2c",
    },
  ]);
});
