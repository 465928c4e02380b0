// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
)

// certificatesManager is the field manager of what is written here.
const certificatesManager = "kruise-rollout-certificates"

const (
	lookEvery = 12 * time.Hour // whatever the watches say
	// After an error the next try comes soon, and then less often.
	firstRetry, lastRetry = 100 * time.Millisecond, 15 * time.Second
)

// Options say where admission and conversion are reached.
type Options struct {
	Namespace string   // of the Secret and the Services
	Secret    string   // that holds the certificates
	Services  []string // by which we are reached
	Host      string   // where the API server reaches us without the Services; "" by them
	Port      int      // at that host
}

// Certificates sees to it that there is a certificate to serve that the API server trusts: it makes one where the Secret
// holds none, renews it in time, and writes its CA into the webhook configurations and CRDs. It reads nothing through a
// cache: caches need conversion, and conversion needs this. Every replica runs it, and the first one does what is due.
type Certificates struct {
	options Options
	secrets kubernetes.Interface
	objects dynamic.Interface
	clock   clock.Clock
	current atomic.Pointer[tls.Certificate]
	ready   chan struct{}
	pointed bool // the API server has been given our host
	trouble atomic.Pointer[string]
}

// NewCertificates returns certificates that are not kept yet: Run does that.
func NewCertificates(secrets kubernetes.Interface, objects dynamic.Interface, c clock.Clock, o Options) *Certificates {
	return &Certificates{options: o, secrets: secrets, objects: objects, clock: c, ready: make(chan struct{})}
}

// Ready is closed once there is a certificate to serve, and the API server is asked to trust it.
func (c *Certificates) Ready() <-chan struct{} { return c.ready }

// Check fails, and says why, until there is a certificate that the API server trusts.
func (c *Certificates) Check(*http.Request) error {
	select {
	case <-c.ready:
		return nil
	default:
	}
	if trouble := c.trouble.Load(); trouble != nil {
		return errors.New(*trouble)
	}
	return errors.New("the certificates are not in place yet")
}

// Get is the certificate to serve.
func (c *Certificates) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cert := c.current.Load(); cert != nil {
		return cert, nil
	}
	return nil, errors.New("there is no certificate yet")
}

// Run keeps the certificates until ctx ends.
func (c *Certificates) Run(ctx context.Context) {
	log := ctrl.LoggerFrom(ctx).WithName("certificates")
	news := c.watch(ctx)
	for wait, said := firstRetry, ""; ; {
		next, err := c.ensure(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			c.trouble.Store(nil)
			wait, said = firstRetry, ""
		default:
			text := err.Error()
			c.trouble.Store(&text)
			if !lostRace(err) && text != said {
				log.Error(err, "certificates are not as they should be")
				said = text
			}
			next = c.clock.Now().Add(wait)
			wait = min(2*wait, lastRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-news:
		case <-c.clock.After(min(next.Sub(c.clock.Now()), lookEvery)):
		}
	}
}

func lostRace(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// ensure does what is due, and returns when something will be.
func (c *Certificates) ensure(ctx context.Context) (next time.Time, err error) {
	held, unwritten := c.secret(ctx)
	if held.serving == nil {
		return time.Time{}, unwritten
	}
	serving, err := c.forUs(held)
	if err != nil {
		return time.Time{}, err
	}
	settled, untold := c.tell(ctx, held.roots)
	// What is new is trusted before it is served, unless there is nothing else to serve.
	now := c.clock.Now()
	if served := c.current.Load(); untold == nil || served == nil || now.After(served.Leaf.NotAfter) {
		c.current.Store(serving)
	}
	if err := errors.Join(untold, unwritten); err != nil {
		if untold == nil {
			c.told()
		}
		return time.Time{}, err
	}
	c.told()
	next = held.renewal()
	if !settled.IsZero() && settled.Before(next) {
		next = settled
	}
	return next, nil
}

// forUs is the certificate of the Secret or, where the API server asks for a host that is not in it, one for that.
func (c *Certificates) forUs(held pair) (*tls.Certificate, error) {
	host := c.options.Host
	if host == "" || held.serving.Leaf.VerifyHostname(host) == nil {
		return held.serving, nil
	}
	served := c.current.Load()
	if held.ca != nil && served != nil && served.Leaf.VerifyHostname(host) == nil && served.Leaf.CheckSignatureFrom(held.ca.Leaf) == nil {
		return served, nil
	}
	made, err := forHost(host, held.ca)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %s: %w", host, err)
	}
	return made, nil
}

func (c *Certificates) told() {
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
}

// names are those by which the API server asks for us where it goes by a Service.
func (c *Certificates) names() []string {
	names := make([]string, 0, len(c.options.Services))
	for _, service := range c.options.Services {
		names = append(names, fmt.Sprintf("%s.%s.svc", service, c.options.Namespace))
	}
	return names
}

// secret returns what the Secret holds, after writing what is due. An error next to a certificate says that it could not be
// renewed.
func (c *Certificates) secret(ctx context.Context) (pair, error) {
	secrets, names, now := c.secrets.CoreV1().Secrets(c.options.Namespace), c.names(), c.clock.Now()
	secret, err := secrets.Get(ctx, c.options.Secret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	switch {
	case missing:
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.options.Namespace, Name: c.options.Secret}}
	case err != nil:
		return pair{}, fmt.Errorf("reading Secret %s/%s: %w", c.options.Namespace, c.options.Secret, err)
	}
	held := read(secret.Data, names, now)
	if due := held.renewal(); now.Before(due) {
		return held, nil
	}
	next := secret.DeepCopy()
	if next.Data, err = renew(secret.Data, names, now); err != nil {
		return held, err
	}
	log := ctrl.LoggerFrom(ctx).WithName("certificates")
	if missing {
		_, err = secrets.Create(ctx, next, metav1.CreateOptions{FieldManager: certificatesManager})
	} else {
		_, err = secrets.Update(ctx, next, metav1.UpdateOptions{FieldManager: certificatesManager})
	}
	switch {
	case err == nil:
		renewed := read(next.Data, names, now)
		log.Info("made certificates", "secret", secret.Name, "until", renewed.until, "newCA", held.lasting(now) == nil)
		return renewed, nil
	case lostRace(err): // another replica was first
		return held, err
	case held.serving != nil:
		return held, fmt.Errorf("the certificate in Secret %s/%s ends at %s and cannot be renewed: %w",
			secret.Namespace, secret.Name, held.until.UTC().Format(time.RFC3339), err)
	default:
		return pair{}, fmt.Errorf("the Secret %s/%s holds no valid certificate, and none can be written: %w; let the manager write it, "+
			"or put a certificate for %s into tls.crt and tls.key, and its CA into ca.crt",
			secret.Namespace, secret.Name, err, strings.Join(names, " and "))
	}
}
