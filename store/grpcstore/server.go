package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/thanoskit/thanoskit/store"
)

// ServerOptions say how a Store is served. The zero value, and nil, are good.
type ServerOptions struct {
	// Component is the kind of component to announce if the Store's own Info
	// names none.
	Component string
	// FrameSize is the size in bytes at which a message with several series is
	// sent, however many the client would take; 128 KiB if 0. One series may
	// exceed it, up to MaxSeriesSize.
	FrameSize int
	// MaxSeriesSize is the size in bytes above which a series is sent in parts in
	// several messages, cut between chunks; 1 MiB if 0.
	MaxSeriesSize int
	// MaxRecvSize and MaxSendSize bound the messages that are received and sent,
	// in bytes; 0 is unlimited. Series are sent in parts to keep to the bound; a
	// single chunk that exceeds it fails the call with store.ErrLimit. A grpc.Server
	// enforces them if it was made with GRPCServerOptions, or by NewServer.
	MaxRecvSize, MaxSendSize int
	// MetadataKeys are the keys of gRPC metadata, in lower case, that are taken up
	// into requests' Metadata: "request-id", say, to have a fan-out pass it on. The
	// tenant always is.
	MetadataKeys []string
	// Allow says what each caller may have, by the context of its call; see
	// store.WithAllowed, and Peers for who can be told by a certificate. Everybody
	// may have everything if nil. Health and reflection, which tell nothing of what
	// there is, are for all.
	Allow func(context.Context) ([]*labels.Matcher, error)
	// Health, if not nil, decides whether Info answers. NewServer makes one if
	// there is none.
	Health *Health
	// DrainDelay is for how long Server.Run goes on serving after it announced
	// that it will stop, for clients and load balancers to notice; 0 is not at
	// all.
	DrainDelay time.Duration
	// GracePeriod is how long Server.Run lets running calls finish before it
	// cuts them off; two minutes if 0, not at all if negative.
	GracePeriod time.Duration
	// GRPC are further options for the server that NewServer makes: transport
	// credentials, interceptors, stats handlers. They win over its own.
	GRPC []grpc.ServerOption
	// Logger hears of panics of the Store; nil is silent.
	Logger *slog.Logger
}

// Defaults of ServerOptions.
const (
	defaultFrameSize     = 128 << 10
	defaultMaxSeriesSize = 1 << 20
	defaultGracePeriod   = 2 * time.Minute
)

// withDefaults returns a copy of o, which may be nil, with the defaults filled
// in.
func (o *ServerOptions) withDefaults() (ServerOptions, error) {
	var out ServerOptions
	if o != nil {
		out = *o
	}
	var errs []error
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{
		{"FrameSize", &out.FrameSize, defaultFrameSize},
		{"MaxSeriesSize", &out.MaxSeriesSize, defaultMaxSeriesSize},
		{"MaxRecvSize", &out.MaxRecvSize, math.MaxInt32},
		{"MaxSendSize", &out.MaxSendSize, math.MaxInt32},
	} {
		if *f.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative: %d", f.name, *f.value))
		}
		if *f.value <= 0 {
			*f.value = f.def
		}
	}
	out.FrameSize = min(out.FrameSize, out.MaxSendSize)
	out.MaxSeriesSize = min(out.MaxSeriesSize, out.MaxSendSize-headroom)
	if out.DrainDelay < 0 {
		errs = append(errs, fmt.Errorf("DrainDelay is negative: %s", out.DrainDelay))
	}
	if out.GracePeriod == 0 {
		out.GracePeriod = defaultGracePeriod
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, errors.Join(errs...)
}

// handshakeTimeout is how long a connection may take until it speaks HTTP/2: TCP
// is there, TLS and HTTP/2's preface are to come. gRPC's own is two minutes, for
// which anybody could hold memory and a file without showing who they are.
const handshakeTimeout = 10 * time.Second

// Thanos' clients ping every 10 s while a call runs. A ping that was held up on
// its way makes the next one early, so half of that is allowed.
const minPingInterval = 5 * time.Second

// GRPCServerOptions returns options for a grpc.Server that serves the StoreAPI:
// the codec that makes it fast and passes every other service's messages to the
// stock codec, messages of any size unless opts bounds them, 10 s for the handshakes
// of a new connection, and keepalive that lets clients ping every 10 s, with or
// without a call running. Options that follow them on the same server win. A negative bound, for which Register
// returns an error, is none here.
func GRPCServerOptions(opts *ServerOptions) []grpc.ServerOption {
	o, _ := opts.withDefaults()
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(o.MaxRecvSize),
		grpc.MaxSendMsgSize(o.MaxSendSize),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPingInterval, PermitWithoutStream: true}),
	}
}

// Register adds s to a gRPC server: the services thanos.Store and
// thanos.info.Info. The server need not be made with GRPCServerOptions.
//
// Label names and values are derived from series if s is not a
// store.LabelQuerier; Info says that s may hold anything if it is not a
// store.Describer. Panics of s become errors of the call.
//
// Errors: if an option is out of range, or the server has one of the services
// already. A server that runs takes no more services: gRPC ends the program.
func Register(r grpc.ServiceRegistrar, s store.Store, opts *ServerOptions) error {
	o, err := opts.withDefaults()
	if err != nil {
		return fmt.Errorf("check server options: %w", err)
	}
	if s == nil {
		return errors.New("register store: no store given")
	}
	if err := unregistered(r, storeService, infoService); err != nil {
		return fmt.Errorf("register store: %w", err)
	}
	if o.Allow != nil {
		s = store.Wrap(s, store.WithAllowed(o.Allow), reportPanics(o.Logger), store.WithRecovery())
	}
	svc := &service{store: store.Wrap(s, store.WithRecovery()), opts: o, pool: new(bufferPool)}
	r.RegisterService(&storeDesc, svc)
	r.RegisterService(&infoDesc, svc)
	return nil
}

// unregistered returns an error if the server has one of the services, which
// grpc.Server would end the program for.
func unregistered(r grpc.ServiceRegistrar, services ...string) error {
	p, ok := r.(interface {
		GetServiceInfo() map[string]grpc.ServiceInfo
	})
	if !ok {
		return nil
	}
	registered := p.GetServiceInfo()
	for _, s := range services {
		if _, ok := registered[s]; ok {
			return fmt.Errorf("server has service %s already", s)
		}
	}
	return nil
}
