import assert from "node:assert/strict";
import { test } from "node:test";
import { redactBuffer, TextRedactor } from "../../../src/collect/redact/redact.ts";
import type { Identity } from "../../../src/collect/redact/rules.ts";

function redact(text: string, anonymize: Identity | null = null) {
  const redactor = new TextRedactor("bytes", { anonymize });
  const out = redactBuffer(Buffer.from(text), redactor).toString();
  return { out, counts: redactor.counts };
}

const SECRETS: readonly (readonly [what: string, before: string, after: string, rule: string])[] = [
  ["an environment line", "DB_PASSWORD=hunter2", "DB_PASSWORD=[redacted]", "assignment"],
  [
    "one with blanks and signs in it",
    "export DB_PASSWORD=a b;c&d",
    "export DB_PASSWORD=[redacted]",
    "assignment",
  ],
  ["one run together", "PGPASSWORD=hunter2", "PGPASSWORD=[redacted]", "assignment"],
  [
    "one among arguments",
    "msiexec /i a.msi DBPASSWORD=hunter2 LEVEL=3",
    "msiexec /i a.msi DBPASSWORD=[redacted] LEVEL=3",
    "assignment",
  ],
  [
    "one in quotes among arguments",
    'run PASSWORD="my pass" LEVEL=3',
    'run PASSWORD="[redacted]" LEVEL=3',
    "assignment",
  ],
  [
    "an MSI log's property",
    "Property(S): DB_PASSWORD = hunter 2",
    "Property(S): DB_PASSWORD = [redacted]",
    "assignment",
  ],
  [
    "JSON",
    '{"user": "bob", "password": "hun\\"ter2", "x": 1}',
    '{"user": "bob", "password": "[redacted]", "x": 1}',
    "assignment",
  ],
  [
    "JSON within a string",
    '"{\\"apiKey\\":\\"abcd1234efgh\\"}"',
    '"{\\"apiKey\\":\\"[redacted]\\"}"',
    "assignment",
  ],
  ["camel case", "clientSecret: 'abc def'", "clientSecret: '[redacted]'", "assignment"],
  [
    "YAML",
    "  db:\n    password: correct horse battery\n    port: 1",
    "  db:\n    password: [redacted]\n    port: 1",
    "assignment",
  ],
  ["a registry file", '"DefaultPassword"="hunter2"', '"DefaultPassword"="[redacted]"', "assignment"],
  [
    "a connection string",
    "Server=db;User Id=app;Password=hunter2;Timeout=5",
    "Server=db;User Id=app;Password=[redacted];Timeout=5",
    "assignment",
  ],
  [
    "a storage key",
    "AccountName=x;AccountKey=Zm9vYmFyYmF6cXV4MTIzNA==;Suffix=y",
    "AccountName=x;AccountKey=[redacted];Suffix=y",
    "assignment",
  ],
  [
    "a token in a query",
    "GET /x?access_token=abc123def456&y=1 HTTP/1.1",
    "GET /x?access_token=[redacted]&y=1 HTTP/1.1",
    "assignment",
  ],
  ["a job's token", "CI_JOB_TOKEN=64_abcDEF123456", "CI_JOB_TOKEN=[redacted]", "assignment"],
  [
    "npm's token",
    "//registry.example/:_authToken=0a1b2c3d-4e5f",
    "//registry.example/:_authToken=[redacted]",
    "assignment",
  ],
  ["an option", "app --password hunter2 --verbose", "app --password [redacted] --verbose", "assignment"],
  [
    "a quoted option",
    "app --db-password 'correct horse' -v",
    "app --db-password '[redacted]' -v",
    "assignment",
  ],
  [
    "XML text",
    "<db><Password>hunter2</Password></db>",
    "<db><Password>[redacted]</Password></db>",
    "assignment",
  ],
  [
    "XML attributes",
    '<add key="DbPassword" value="hunter2" />',
    '<add key="DbPassword" value="[redacted]" />',
    "assignment",
  ],
  ["an API key's header", "X-Api-Key: 0123456789abcdef", "X-Api-Key: [redacted]", "assignment"],
  [
    "a URL",
    "git clone https://bob:hunter2@example.org/x.git",
    "git clone https://bob:[redacted]@example.org/x.git",
    "url",
  ],
  [
    "a URL with a sign in its password",
    "postgres://app:p@ss:w0rd@db:5432/x",
    "postgres://app:[redacted]@db:5432/x",
    "url",
  ],
  [
    "a URL with a token for a user",
    "https://a1b2c3d4e5f6a7b8c9d0@example.org/",
    "https://[redacted]@example.org/",
    "url",
  ],
  ["a header", "> Authorization: Basic Ym9iOmh1bnRlcjI=", "> Authorization: Basic [redacted]", "header"],
  [
    "a proxy's header",
    "Proxy-Authorization: Negotiate YIIabc",
    "Proxy-Authorization: Negotiate [redacted]",
    "header",
  ],
  [
    "a header in a command",
    "curl -H 'Authorization: Bearer abc.def' https://x",
    "curl -H 'Authorization: Bearer [redacted]' https://x",
    "header",
  ],
  [
    "a header in JSON",
    '{"authorization":"Bearer abc.def","a":1}',
    '{"authorization":"Bearer [redacted]","a":1}',
    "header",
  ],
  ["cookies", "Cookie: sid=31d4d96e407aad42; theme=dark", "Cookie: [redacted]", "header"],
  ["cookies that are set", "Set-Cookie: sid=31d4; HttpOnly", "Set-Cookie: [redacted]", "header"],
  ["a bare bearer", "sent Bearer 0123456789abcdef0123 to it", "sent Bearer [redacted] to it", "header"],
  ["bytes of UTF-8 that look like blanks", "PASSWORD=p\u00e0ss\u00e0 x", "PASSWORD=[redacted]", "assignment"],
  [
    "the same among arguments",
    "run pass_word PASSWORD=p\u00e0ss\u00e0 x",
    "run pass_word PASSWORD=[redacted] x",
    "assignment",
  ],
  [
    "curl's user",
    "+ curl -sS -u 'bob:hunter2' https://x",
    "+ curl -sS -u 'bob:[redacted]' https://x",
    "assignment",
  ],
  ["a password in brackets", "DB_PASSWORD=(hunter)2", "DB_PASSWORD=[redacted]", "assignment"],
  ["a password that ends like code", "DB_PASSWORD=hunter)", "DB_PASSWORD=[redacted]", "assignment"],
  [
    "an AWS secret",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY",
    "aws_secret_access_key = [redacted]",
    "assignment",
  ],
  [
    "a web.config",
    '<machineKey validationKey="21F090935F6E49C2" x="1"/>',
    '<machineKey validationKey="[redacted]" x="1"/>',
    "assignment",
  ],
  ["PowerShell", '$env:DB_PASSWORD = "hunter2"', '$env:DB_PASSWORD = "[redacted]"', "assignment"],
  ["PHP", "$password = 'hunter2';", "$password = '[redacted]';", "assignment"],
  ["a Ruby hash", ":password => 'hunter2',", ":password => '[redacted]',", "assignment"],
  ["an AWS key id", "used AKIAIOSFODNN7EXAMPLE for it", "used [redacted] for it", "key-id"],
  ["a GitHub token", `got ghp_${"a1B2".repeat(9)}.`, "got [redacted].", "key-id"],
];

for (const [what, before, after, rule] of SECRETS)
  test(`a secret in ${what} is redacted and nothing else`, () => {
    assert.deepEqual(redact(before), { out: after, counts: { [rule]: 1 } });
  });

test("what has been redacted is not redacted again", () => {
  for (const [, before] of SECRETS) {
    const once = redact(before).out;
    assert.deepEqual(redact(once), { out: once, counts: {} });
  }
});

const HARMLESS = `Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/parser.py", line 214, in expect
    token = self.next_token(key=key, token_type=TokenType.IDENT)
  File "/srv/app/lexer.py", line 88, in next_token
    raise KeyError("token")
KeyError: 'token'
During handling of the above exception, another exception occurred:
    password = getpass.getpass("Password: ")
    if password == "" or secret != None: return Token::Secret
    def login(self, user: str, password: str, token: Optional[Token] = None) -> bool:
    connect(host=host, password=password, api_key=config.api_key)
    self.password = settings.password
token_type = IDENT
token = IDENT
unexpected token: '}' at line 3
error: unexpected token: identifier
tokens: 512, max_tokens=4096, total_tokens: 18234
key=value
"key": "value"
primary_key = id, foreign_key: user_id
public_key_token=b77a5c561934e089, PublicKeyToken=b77a5c561934e089
System.Collections.Generic.KeyNotFoundException: The given key was not present
#0  0x00007f3a2c1d4e5f in Parser::token (token=0x7ffd0a1b2c3d, key=0x0) at parser.cc:12
#1  lookup (secret=<optimized out>, password=0x55d0c0ffee00 "") at auth.c:77
PWD=/home/build/workspace1
OLDPWD=/tmp
PASSWORD=
password: null
"password": null, "token": null, "secret": ""
"PasswordPolicy": "strong", password_min_length = 12
Authorization: failed
HTTP 401: authorization required
secretName: db-credentials-1
commit 9fceb02d0ae598e95dc970b74767f19372d61af8
index 3b18e51..a0423896973644771497bdc03eb99d5281615b51 100644
sha512-oNLqbnKaDlnfKxZb2gB4TmbBVfLQdYUqN8vDbdqK2i4mwzBd9OG2AeMOc8DQvgp3q8HtN5y4hg4EGDLYPv1qFw==
http://example.org:8080/path@2x.png?key=a
ssh://git@example.org/repo.git
user@example.org: token expired
-----BEGIN CERTIFICATE-----
MIIBszCCAVmgAwIBAgIUQ0123
-----END CERTIFICATE-----
HRESULT 0x80070005, ErrorCode=1603, ProductCode={90140000-0011-0000-0000-0000000FF1CE}
cookie: not set
Bearer authentication is required
use --token to authenticate, or --password FILE
accesskey="k"
docker run -u 1000:1000 image
AdminPasswordStatus=3
"PasswordExpiryWarning"=dword:0000000e
Property(S): SecureCustomProperties = NEWPRODUCTFOUND;UPGRADEFOUND
password: string;
password?: string | null;
const token = tokens[index];
token = token.next;
throw new Error(\`secret \${name} is missing\`);
password=password,
    api_key=config.api_key,
FATAL: password authentication failed for user "bob"
primaryKey: true, key: 17, apiKeyName: "main"
at Token.parse (parser.js:12:34)
auth=none, sig=SIGSEGV, si_addr=0x10
`;

test("a backtrace full of key and token, and everything else that only looks like a secret, comes through byte for byte", () => {
  for (const line of HARMLESS.split("\n")) assert.deepEqual(redact(line), { out: line, counts: {} });
  assert.deepEqual(redact(HARMLESS), { out: HARMLESS, counts: {} });
});

test("a user's name and home are replaced on request only, in every spelling", () => {
  const text = [
    "C:\\Users\\Bob\\a.log",
    '"c:\\\\users\\\\bob\\\\a.log"',
    "c:/users/bob/a.log",
    "C:\\Users\\Bobby\\a.log",
    "user=BOB, kebob, bob_2, bob.",
  ].join("\n");
  assert.deepEqual(redact(text), { out: text, counts: {} });
  assert.deepEqual(redact(text, { user: "bob", home: "C:\\Users\\bob" }), {
    out: [
      "<home>\\a.log",
      '"<home>\\\\a.log"',
      "<home>/a.log",
      "C:\\Users\\Bobby\\a.log",
      "user=<user>, kebob, bob_2, <user>.",
    ].join("\n"),
    counts: { home: 3, user: 2 },
  });
});

test("a user's name beyond ASCII is found in UTF-8", () => {
  assert.deepEqual(redact("/home/zoë/x by zoë", { user: "zoë", home: "/home/zoë" }), {
    out: "<home>/x by <user>",
    counts: { home: 1, user: 1 },
  });
});
