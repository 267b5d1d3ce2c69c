//! Requests and responses, as the stages see them: their heads are small, and their fields are [`Fields`].

use http::{Method, StatusCode, Uri, Version};
use hyper::ext::ReasonPhrase;

use crate::fields::Fields;

/// The head of a request.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// Target.
    pub uri: Uri,
    /// Version that the client speaks.
    pub version: Version,
    /// Fields.
    pub headers: Fields,
}

/// The head of a response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// Status.
    pub status: StatusCode,
    /// Version that whoever answers speaks.
    pub version: Version,
    /// Fields.
    pub headers: Fields,
    /// Another reason phrase than that of the status.
    pub reason: Option<Box<ReasonPhrase>>,
}

/// A request.
#[derive(Debug)]
pub struct Request<B> {
    /// Its head.
    pub head: RequestHead,
    /// Its body.
    pub body: B,
}

/// A response.
#[derive(Debug)]
pub struct Response<B> {
    /// Its head.
    pub head: ResponseHead,
    /// Its body.
    pub body: B,
}

impl ResponseHead {
    /// Without any field.
    pub fn of(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }
}

impl<B> Request<B> {
    /// The same head with another body.
    pub fn map<C>(self, body: impl FnOnce(B) -> C) -> Request<C> {
        Request { head: self.head, body: body(self.body) }
    }
}

impl<B> Response<B> {
    /// The same head with another body.
    pub fn map<C>(self, body: impl FnOnce(B) -> C) -> Response<C> {
        Response { head: self.head, body: body(self.body) }
    }

    /// Status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Fields.
    pub fn headers(&self) -> &Fields {
        &self.head.headers
    }

    /// Fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut Fields {
        &mut self.head.headers
    }
}

impl<B> From<http::Request<B>> for Request<B> {
    fn from(request: http::Request<B>) -> Self {
        let (http::request::Parts { method, uri, version, headers, .. }, body) = request.into_parts();
        Self { head: RequestHead { method, uri, version, headers: headers.into() }, body }
    }
}

impl<B> From<Request<B>> for http::Request<B> {
    fn from(request: Request<B>) -> Self {
        let Request { head: RequestHead { method, uri, version, headers }, body } = request;
        let mut request = Self::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.version_mut()) = (method, uri, version);
        *request.headers_mut() = headers.into();
        request
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (http::response::Parts { status, version, headers, mut extensions, .. }, body) =
            response.into_parts();
        let reason = extensions.remove().map(Box::new);
        Self { head: ResponseHead { status, version, headers: headers.into(), reason }, body }
    }
}

impl<B> From<Response<B>> for http::Response<B> {
    fn from(response: Response<B>) -> Self {
        let Response { head: ResponseHead { status, version, headers, .. }, body } = response;
        let mut response = Self::new(body);
        (*response.status_mut(), *response.version_mut()) = (status, version);
        *response.headers_mut() = headers.into();
        response
    }
}
