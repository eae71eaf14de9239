package grpcstore

import (
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// Health is what a server says of itself: through gRPC's health service, for
// the whole server and for each of the services that Register adds; and through
// Info, which answers only while the server serves if ServerOptions has the
// Health. It is safe for concurrent use.
type Health struct {
	server *health.Server

	mu      sync.Mutex
	serving bool
	down    bool
}

// NewHealth returns the Health of a server that serves.
func NewHealth() *Health {
	h := &Health{server: health.NewServer()}
	h.SetServing(true)
	return h
}

// Register adds gRPC's health service to a server.
//
// Errors: if the server has one already.
func (h *Health) Register(r grpc.ServiceRegistrar) error {
	if err := unregistered(r, grpc_health_v1.Health_ServiceDesc.ServiceName); err != nil {
		return fmt.Errorf("register health: %w", err)
	}
	grpc_health_v1.RegisterHealthServer(r, h.server)
	return nil
}

// SetServing says whether the server serves: SERVING or NOT_SERVING. It does
// nothing after Shutdown.
func (h *Health) SetServing(serving bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return
	}
	h.serving = serving
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	for _, service := range []string{"", storeService, infoService} {
		h.server.SetServingStatus(service, status)
	}
}

// Shutdown says that the server does not serve, for good.
func (h *Health) Shutdown() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serving, h.down = false, true
	h.server.Shutdown()
}

// Serving reports what was last said. A nil Health serves.
func (h *Health) Serving() bool {
	if h == nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.serving
}
