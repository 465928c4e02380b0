// SPDX-License-Identifier: Apache-2.0

package traffic

import "fmt"

// Try renders a Route onto the user's objects and holds the router to its laws there: rendering twice is rendering once, and
// the nil Route restores what the user wrote. Objects are what was rendered; broken are the laws that do not hold. An error
// is that of the first rendering.
func Try(router Router, user Objects, r *Route) (rendered Objects, broken []error, err error) {
	rendered, err = router.Render(user, r)
	if err != nil {
		return nil, nil, err
	}
	again, err := router.Render(rendered, r)
	switch {
	case err != nil:
		broken = append(broken, fmt.Errorf("rendering what was rendered fails: %w", err))
	case !Settled(rendered, again):
		broken = append(broken, fmt.Errorf("rendering is not idempotent: the release would write the object again and again"))
	}
	back, err := router.Render(rendered, nil)
	switch {
	case err != nil:
		broken = append(broken, fmt.Errorf("restoring the original fails: %w", err))
	case !Settled(user, back):
		broken = append(broken, fmt.Errorf("restoring does not return the original"))
	}
	return rendered, broken, nil
}
