package tlsutil

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxSkew is by how much clocks may differ.
	maxSkew = time.Minute
	// maxAnswer is how much of an answer in HTTP is read.
	maxAnswer = 4 << 10

	healthCheck = "/grpc.health.v1.Health/Check"
)

// plain looks at an address with a client that speaks plain text.
func (p *prober) plain(ctx context.Context, address string) {
	conn, err := p.dial(ctx, address)
	if err != nil {
		return
	}
	defer hangUp(conn)
	p.call(ctx, address, "http", conn, nil)
}

// call makes a gRPC call on a connection and finds what is wrong with its answer.
// h is how the connection was made, nil for plain text.
func (p *prober) call(ctx context.Context, address, scheme string, conn net.Conn, h *handshake) {
	resp, err := roundTrip(ctx, scheme, p.authority(address), conn)
	if err != nil {
		p.callFailed(ctx, address, err, h)
		return
	}
	defer hangUp(resp.Body)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what there is of it
	p.checkClock(address, resp)
	switch status := grpcStatus(resp); {
	case resp.StatusCode == http.StatusOK && isGRPC(resp):
		p.d.seef(address, "answers gRPC, status %s", status)
		if status == "7" || status == "16" { // PERMISSION_DENIED, UNAUTHENTICATED
			p.d.find(ProblemDenied, address, "gRPC status "+status+": "+grpcMessage(resp), "The server knows the client and does not let it in, or wants a token")
		}
	case resp.StatusCode == http.StatusBadRequest && bytes.Contains(bytes.ToLower(body), []byte("certificate")):
		// nginx and what is built on it refuse certificates after the handshake.
		problem, detail := ProblemClientCert, "the ingress refuses the client's certificate by HTTP 400: "
		if h == nil || !h.shown {
			problem, detail = ProblemNoClientCert, "the ingress demands a certificate of the client, by HTTP 400: "
		}
		p.d.find(problem, address, detail+firstText(body), "Show a certificate of the CA that the ingress has for clients")
	case resp.StatusCode == http.StatusBadRequest && bytes.Contains(bytes.ToLower(body), []byte("plain http request")):
		p.d.find(ProblemTLS, address, "the client speaks plain text, and the port TLS: "+firstText(body), "Speak TLS")
	default:
		p.d.find(ProblemNotGRPC, address, fmt.Sprintf("HTTP status %s, content type %q: %s", resp.Status, resp.Header.Get("Content-Type"), firstText(body)), adviceFor(resp.StatusCode))
	}
}

// authority is what the server is asked for above TLS.
func (p *prober) authority(address string) string {
	if p.d.ServerName == "" {
		return address
	}
	_, port, _ := net.SplitHostPort(address) // it was made by JoinHostPort
	return net.JoinHostPort(p.d.ServerName, port)
}

func roundTrip(ctx context.Context, scheme, authority string, conn net.Conn) (*http.Response, error) {
	// A health check of the whole server is an empty message.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+"://"+authority+healthCheck, bytes.NewReader(make([]byte, 5)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	used := false
	give := func(context.Context, string, string) (net.Conn, error) {
		if used {
			return nil, errors.New("the connection has broken")
		}
		used = true
		return conn, nil
	}
	t := &http.Transport{DialContext: give, DialTLSContext: give, Protocols: new(http.Protocols), DisableKeepAlives: true}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t.RoundTrip(req)
}

// callFailed finds why a call had no answer.
func (p *prober) callFailed(ctx context.Context, address string, err error, h *handshake) {
	if h != nil {
		if h.asked && h.refusedLater(ctx, err) {
			return
		}
		p.d.find(ProblemNotGRPC, address, "no answer over HTTP/2: "+err.Error(), "")
		return
	}
	said := speaks(ctx, address)
	// A TLS server of HTTP may say in plain text that it wants TLS, as nginx does,
	// and as Go does.
	if (said == saysNothing || said == saysHTTP1) && shakesHands(ctx, address) {
		said = saysTLS
	}
	switch said {
	case saysTLS:
		p.d.find(ProblemTLS, address, "the client speaks plain text, and the server "+said.String(), "Speak TLS")
	case saysHTTP1:
		p.d.find(ProblemHTTP1, address, "the server "+said.String(), "gRPC needs HTTP/2: dial the gRPC port, or switch HTTP/2 on at the ingress")
	default:
		p.d.find(ProblemNotGRPC, address, "no answer over HTTP/2, and the server "+said.String()+": "+err.Error(), "Does a gRPC server listen there?")
	}
}

// checkClock compares with the date of an ingress; gRPC servers send none.
func (p *prober) checkClock(address string, resp *http.Response) {
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	if skew := time.Since(t); skew > maxSkew || skew < -maxSkew {
		p.d.find(ProblemClockSkew, address, fmt.Sprintf("it is %s there and %s here", date(t), date(time.Now())), "Set the clocks: certificates and queries go by them")
	}
}

func isGRPC(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc")
}

func grpcStatus(resp *http.Response) string {
	if s := resp.Header.Get("Grpc-Status"); s != "" {
		return s
	}
	return resp.Trailer.Get("Grpc-Status")
}

func grpcMessage(resp *http.Response) string {
	if s := resp.Header.Get("Grpc-Message"); s != "" {
		return s
	}
	return resp.Trailer.Get("Grpc-Message")
}

func adviceFor(status int) string {
	switch status {
	case http.StatusNotFound:
		return "The ingress has no backend for this name and path"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "The ingress does not reach its backend: is it told that it speaks gRPC, with or without TLS as the backend has it?"
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
		return "The ingress does not let the client in"
	}
	return "Is this the gRPC port, and is the ingress told that the backend speaks gRPC?"
}

// firstText is the first line of text in an answer, without its tags.
func firstText(body []byte) string {
	var out []string
	for _, part := range strings.FieldsFunc(string(body), func(r rune) bool { return r == '<' || r == '\n' || r == '\r' }) {
		if i := strings.IndexByte(part, '>'); i >= 0 {
			part = part[i+1:]
		}
		if part = strings.TrimSpace(part); part != "" && (len(out) == 0 || out[len(out)-1] != part) {
			out = append(out, part)
		}
	}
	return strings.ToValidUTF8(strings.Join(out[:min(len(out), 2)], "; "), "?")
}

// speech is what a server answers to one that speaks HTTP/2 in plain text.
type speech uint8

const (
	saysNothing speech = iota
	saysHTTP1
	saysHTTP2
	saysTLS
	saysElse
)

func (s speech) String() string {
	switch s {
	case saysHTTP1:
		return "answers HTTP/1.1 in plain text"
	case saysHTTP2:
		return "answers HTTP/2 in plain text"
	case saysTLS:
		return "answers with TLS"
	case saysElse:
		return "answers something else in plain text"
	case saysNothing:
	}
	return "answers nothing"
}

// speaks finds out what listens at an address.
func speaks(ctx context.Context, address string) speech {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return saysNothing
	}
	defer hangUp(conn)
	if t, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(t) // if it fails, so does the rest
	}
	// The preface of HTTP/2 and an empty SETTINGS frame.
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return saysNothing
	}
	b := make([]byte, 5)
	n, _ := io.ReadFull(conn, b) // as much as there is
	const (
		recordAlert   = 0x15
		frameSettings = 0x04
	)
	switch b = b[:n]; {
	case n == 0:
		return saysNothing
	case bytes.Equal(b, []byte("HTTP/")):
		return saysHTTP1
	case n >= 2 && b[0] == recordAlert && b[1] == 0x03:
		return saysTLS
	case n >= 4 && b[0] == 0 && b[3] == frameSettings:
		return saysHTTP2
	}
	return saysElse
}

// hangUp closes what has told all that it can tell, an error included.
func hangUp(c io.Closer) { _ = c.Close() }

// shakesHands reports whether a TLS server listens at an address: many say nothing
// to what is not TLS.
func shakesHands(ctx context.Context, address string) bool {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // Nothing is sent, and nothing believed.
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		_, is := alertOf(err)
		return is
	}
	hangUp(conn)
	return true
}
