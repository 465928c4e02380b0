// SPDX-License-Identifier: Apache-2.0

// Package ext stands in for the module by which editions of Traefik extend its configuration. This one extends nothing.
package ext

// HTTP is added to the HTTP configuration.
type HTTP struct{}

// Router is added to a router's configuration.
type Router struct{}
