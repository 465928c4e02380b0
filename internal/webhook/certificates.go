// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Names of what is installed beside the manager (docs/wire.md, operations).
const (
	MutatingConfiguration   = "kruise-rollout-mutating-webhook-configuration"
	ValidatingConfiguration = "kruise-rollout-validating-webhook-configuration"
)

// conversionCRDs are the kinds that are converted.
var conversionCRDs = []string{"rollouts.rollouts.kruise.io", "batchreleases.rollouts.kruise.io"}

// Options say where admission is reached.
type Options struct {
	Namespace string // of the Secret and the Service
	Secret    string // that holds the certificates
	Service   string // that leads here
	Host      string // where the API server reaches us without the Service; "" by the Service
	CertDir   string // where the certificates are put for the rotator to see
}

// Certificates serves the certificate of the Secret, as long as there is one.
type Certificates struct {
	options Options
	secrets kubernetes.Interface
	current atomic.Pointer[tls.Certificate]
	ready   chan struct{}
}

// AddCertificates makes certificates, keeps them in a Secret, injects the CA into the configurations and CRDs, and
// renews all of it in time. Every replica runs it: each of them answers admission requests.
func AddCertificates(mgr ctrl.Manager, secrets kubernetes.Interface, o Options) (*Certificates, error) {
	c := &Certificates{options: o, secrets: secrets, ready: make(chan struct{})}
	if err := os.MkdirAll(o.CertDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for certificates: %w", err)
	}
	dnsName := fmt.Sprintf("%s.%s.svc", o.Service, o.Namespace)
	rotating := &rotator.CertRotator{
		SecretKey:      types.NamespacedName{Namespace: o.Namespace, Name: o.Secret},
		CertDir:        o.CertDir,
		CAName:         "webhook-cert-ca",
		CAOrganization: "kruise-rollout",
		DNSName:        dnsName,
		ExtraDNSNames:  []string{dnsName, fmt.Sprintf("%s.%s", o.Service, o.Namespace)},
		IsReady:        c.ready,
		FieldOwner:     "kruise-rollout-certificates",
		Webhooks: []rotator.WebhookInfo{
			{Name: MutatingConfiguration, Type: rotator.Mutating},
			{Name: ValidatingConfiguration, Type: rotator.Validating},
		},
	}
	if o.Host != "" && net.ParseIP(o.Host) == nil {
		rotating.ExtraDNSNames = append(rotating.ExtraDNSNames, o.Host)
	}
	for _, crd := range conversionCRDs {
		rotating.Webhooks = append(rotating.Webhooks, rotator.WebhookInfo{Name: crd, Type: rotator.CRDConversion})
	}
	if err := mgr.Add(c); err != nil {
		return nil, fmt.Errorf("adding the certificates: %w", err)
	}
	if err := rotator.AddRotator(mgr, rotating); err != nil {
		return nil, fmt.Errorf("adding the rotation of certificates: %w", err)
	}
	return c, nil
}

// Ensure creates the Secret for the rotator to fill, where it does not exist.
func (c *Certificates) Ensure(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.options.Namespace, Name: c.options.Secret}}
	_, err := c.secrets.CoreV1().Secrets(c.options.Namespace).Create(ctx, secret, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating Secret %s/%s for certificates: %w", c.options.Namespace, c.options.Secret, err)
	}
	return nil
}

// Ready is closed once certificates are in place and injected.
func (c *Certificates) Ready() <-chan struct{} { return c.ready }

// Get is the certificate to serve.
func (c *Certificates) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cert := c.current.Load(); cert != nil {
		return cert, nil
	}
	return nil, errors.New("there is no certificate yet")
}

// NeedLeaderElection says that every replica serves.
func (*Certificates) NeedLeaderElection() bool { return false }

// Start follows the Secret until ctx ends.
func (c *Certificates) Start(ctx context.Context) error {
	watch := cache.NewListWatchFromClient(c.secrets.CoreV1().RESTClient(), "secrets", c.options.Namespace,
		fields.OneTermEqualSelector(metav1.ObjectNameField, c.options.Secret))
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: watch, ObjectType: &corev1.Secret{}, ResyncPeriod: time.Hour,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { c.take(ctx, o) },
			UpdateFunc: func(_, o any) { c.take(ctx, o) },
		},
	})
	informer.RunWithContext(ctx)
	return nil
}

// take serves the Secret's certificate from now on, and puts it where the rotator looks for it.
func (c *Certificates) take(ctx context.Context, o any) {
	secret, ok := o.(*corev1.Secret)
	if !ok || len(secret.Data[corev1.TLSCertKey]) == 0 {
		return
	}
	log := ctrl.LoggerFrom(ctx).WithName("certificates")
	cert, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		log.Error(err, "the Secret holds no valid certificate", "secret", secret.Name)
		return
	}
	c.current.Store(&cert)
	if ip := net.ParseIP(c.options.Host); ip != nil {
		own, err := forAddress(ip, secret.Data["ca.crt"], secret.Data["ca.key"])
		if err != nil {
			log.Error(err, "no certificate for the address that the API server is told", "address", c.options.Host)
			return
		}
		c.current.Store(own)
	}
	for name, data := range secret.Data {
		if err := os.WriteFile(filepath.Join(c.options.CertDir, name), data, 0o600); err != nil {
			log.Error(err, "writing a certificate", "file", name)
		}
	}
}
