// Swagger UI over the served document; nothing of it asks another host.

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // by default another host judges the document
});
