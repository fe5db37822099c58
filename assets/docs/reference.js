/* global SwaggerUIBundle */
SwaggerUIBundle({
  dom_id: '#reference',
  url: '/api/v1/openapi.json',
  // By default the renderer would have another host judge the document.
  validatorUrl: null,
  deepLinking: true,
  displayOperationId: true,
  displayRequestDuration: true,
  docExpansion: 'list',
  filter: true,
  /** The name of a repository holds slashes, which the renderer escapes and the API does not. */
  requestInterceptor(request) {
    const [path, ...query] = request.url.split('?');
    request.url = [path.replaceAll('%2F', '/'), ...query].join('?');
    return request;
  },
});
