// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Conversion loses nothing. An object is cut into small parts, each of which can be written in both versions. Where
// converting a part and converting it back does not give the part, the part as it was travels in the annotation
// conversion-data. On the way back it is used if the part still is what it was converted to, and forgotten if a client
// of the other version has changed it. The annotation is absent where nothing would be lost.

// lost returns orig if cur, the same part in the other version, does not lead back to it.
func lost[Orig, Cur any](orig Orig, cur Cur, back func(Cur) Orig) *Orig {
	if equality.Semantic.DeepEqual(back(cur), orig) {
		return nil
	}
	return &orig
}

// restored returns cur as its original version has it: as it was, if cur still is what that was converted to.
func restored[Orig, Cur any](orig *Orig, cur Cur, convert func(Orig) Cur, back func(Cur) Orig) Orig {
	if unchanged(orig, cur, convert) {
		return *orig
	}
	return back(cur)
}

// unchanged reports whether cur still is what orig was converted to.
func unchanged[Orig, Cur any](orig *Orig, cur Cur, convert func(Orig) Cur) bool {
	return orig != nil && equality.Semantic.DeepEqual(convert(*orig), cur)
}

// takeData removes the conversion data from meta and returns what an object of the given version left there. Data that
// cannot be read counts as absent: it is no reason to make an object unreadable.
func takeData[Data any](meta *metav1.ObjectMeta, version string) Data {
	var none Data
	text, ok := meta.Annotations[rolloutsv1beta1.AnnotationConversionData]
	if !ok {
		return none
	}
	setAnnotation(meta, rolloutsv1beta1.AnnotationConversionData, nil)
	var data map[string]*Data
	if err := json.Unmarshal([]byte(text), &data); err != nil || data[version] == nil {
		return none
	}
	return *data[version]
}

// leaveData puts into meta what only an object of the given version can hold.
func leaveData[Data any](meta *metav1.ObjectMeta, version string, data Data) error {
	if reflect.ValueOf(data).IsZero() {
		return nil
	}
	text, err := json.Marshal(map[string]Data{version: data})
	if err != nil {
		return fmt.Errorf("keeping what only %s can hold: %w", version, err)
	}
	setAnnotation(meta, rolloutsv1beta1.AnnotationConversionData, new(string(text)))
	return nil
}

// annotation returns the value of an annotation, or nil.
func annotation(meta *metav1.ObjectMeta, key string) *string {
	value, ok := meta.Annotations[key]
	if !ok {
		return nil
	}
	return &value
}

// setAnnotation sets an annotation, or removes it if value is nil.
func setAnnotation(meta *metav1.ObjectMeta, key string, value *string) {
	if value != nil {
		metav1.SetMetaDataAnnotation(meta, key, *value)
		return
	}
	delete(meta.Annotations, key)
	if len(meta.Annotations) == 0 {
		meta.Annotations = nil
	}
}
