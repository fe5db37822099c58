/**
 * Hands bytes to R2 and back, and does nothing else: what a blob needs at least. `POST` begins an
 * upload, and with the list of parts ends it; `PUT` takes a whole object or a part.
 */
export async function answerObject(request: Request, bucket: R2Bucket): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const uploadId = searchParams.get('upload');
  const upload = uploadId === null ? null : bucket.resumeMultipartUpload(pathname, uploadId);
  switch (request.method) {
    case 'POST': {
      if (upload === null) {
        const { uploadId: begun } = await bucket.createMultipartUpload(pathname);
        return Response.json({ uploadId: begun });
      }
      await upload.complete(await request.json<R2UploadedPart[]>());
      return new Response();
    }
    case 'PUT': {
      if (request.body === null) {
        return new Response(null, { status: 400 });
      }
      if (upload === null) {
        await bucket.put(pathname, request.body);
        return new Response();
      }
      const part = await upload.uploadPart(Number(searchParams.get('part')), request.body);
      return Response.json(part);
    }
    default: {
      const object = await bucket.get(pathname);
      return object === null
        ? new Response(null, { status: 404 })
        : new Response(object.body.pipeThrough(new FixedLengthStream(object.size)));
    }
  }
}
