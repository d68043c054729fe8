// npm's openid-client against the running service: every step a certified client takes, checked by the client itself.
import * as oidc from "openid-client";

const [issuer, username, password, id, secret, keyId, keyJwk] = process.argv.slice(2);
const callback = "http://127.0.0.1:54321/callback";
const insecure = { execute: [oidc.allowInsecureRequests] };

function check(what, right) {
  if (!right) throw new Error(`not so: ${what}`);
  console.log(what);
}

async function refused(what, error, act) {
  const failure = await act().then(() => undefined, (thrown) => thrown);
  check(what, failure && (failure.error ?? failure.cause?.error) === error);
}

function fields(page) {
  const found = page.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g);
  const plain = (text) => text.replaceAll("&#34;", '"').replaceAll("&amp;", "&");
  return Object.fromEntries([...found].map(([, name, value]) => [plain(name), plain(value)]));
}

async function logIn(url) {
  const page = await (await fetch(url)).text();
  const form = new URLSearchParams({ ...fields(page), username, password });
  const answer = await fetch(`${issuer}/oauth/authorize`, { method: "POST", body: form, redirect: "manual" });
  return new URL(answer.headers.get("location"));
}

async function grant(config, build) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
  const expectedState = oidc.randomState();
  const expectedNonce = oidc.randomNonce();
  const url = await build(config, {
    redirect_uri: callback,
    scope: "openid profile offline_access",
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    state: expectedState,
    nonce: expectedNonce,
  });
  const location = await logIn(url);
  return oidc.authorizationCodeGrant(config, location, { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true });
}

const cli = await oidc.discovery(new URL(issuer), "confide-cli", undefined, oidc.None(), insecure);
oidc.enableNonRepudiationChecks(cli); // ID tokens' signatures are verified by the published keys
check("discovery", cli.serverMetadata().issuer === issuer);

const tokens = await grant(cli, async (...given) => oidc.buildAuthorizationUrl(...given));
check("code with PKCE, state, nonce, iss and a signed ID token", tokens.claims().aud === "confide-cli");

const who = await oidc.fetchUserInfo(cli, tokens.access_token, tokens.claims().sub);
check("userinfo is about the same subject", who.sub === tokens.claims().sub);

const renewed = await oidc.refreshTokenGrant(cli, tokens.refresh_token);
check("refresh with rotation", renewed.refresh_token !== tokens.refresh_token);
await refused("a used refresh token is refused", "invalid_grant", () => oidc.refreshTokenGrant(cli, tokens.refresh_token));
await refused("and has ended its family", "invalid_grant", () => oidc.refreshTokenGrant(cli, renewed.refresh_token));

const pushed = await grant(cli, oidc.buildAuthorizationUrlWithPAR);
check("a pushed authorization request", pushed.claims().sub === tokens.claims().sub);

const service = await oidc.discovery(new URL(issuer), id, secret, oidc.ClientSecretBasic(secret), insecure);
const own = await oidc.clientCredentialsGrant(service, { scope: "system/Appointment.rs" });
check("client credentials with a secret", own.scope === "system/Appointment.rs");
const told = await oidc.tokenIntrospection(service, pushed.access_token);
check("introspection of a live token", told.active && told.sub === tokens.claims().sub);
await oidc.tokenRevocation(cli, pushed.access_token);
check("revocation", !(await oidc.tokenIntrospection(service, pushed.access_token)).active);

const algorithm = { name: "ECDSA", namedCurve: "P-384" };
const key = await crypto.subtle.importKey("jwk", JSON.parse(keyJwk), algorithm, false, ["sign"]);
const keyed = await oidc.discovery(new URL(issuer), keyId, undefined, oidc.PrivateKeyJwt({ key, kid: "k1" }), insecure);
check("client credentials with private_key_jwt", (await oidc.clientCredentialsGrant(keyed)).access_token);

const waiting = await oidc.initiateDeviceAuthorization(cli, { scope: "openid" });
check("device authorization", waiting.user_code && waiting.verification_uri === `${issuer}/oauth/device`);
const out = oidc.buildEndSessionUrl(cli, { id_token_hint: tokens.id_token });
check("logout", (await fetch(out)).status === 200);
