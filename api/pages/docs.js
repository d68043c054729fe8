"use strict";

const ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  validatorUrl: null,
  oauth2RedirectUrl: `${window.location.origin}/docs/oauth2-redirect`,
  presets: [SwaggerUIBundle.presets.apis],
});

ui.initOAuth({
  clientId: "confide-docs",
  scopes: "openid profile",
  usePkceWithAuthorizationCodeGrant: true,
});
