import { Button, Modal, Select } from '@mantine/core';
import { useState } from 'react';
import { useWords } from '../language.ts';
import { PlaceField } from './PlaceField.tsx';
import type { Place } from './places.ts';

/** A circle, `lat,lon,metres`, or a box, `west,south,east,north`, as the server takes them. */
export interface PlaceLimits {
  readonly near?: string | undefined;
  readonly bbox?: string | undefined;
}

interface Props {
  readonly value: PlaceLimits;
  readonly onChange: (value: PlaceLimits) => void;
}

const METRES = [100, 250, 500, 1_000, 2_500, 10_000];

/** Limits a list to what is near a place; a box comes from the map of the city. */
export function PlaceFilter({ value: { near, bbox }, onChange }: Props) {
  const { t, number } = useWords();
  const [choosing, setChoosing] = useState(false);
  const [, , metres = 0] = (near ?? '').split(',').map(Number);
  const words = near === undefined ? t('place.box') : t('place.near', { m: number(metres) });
  return (
    <>
      {near === undefined && bbox === undefined ? (
        <Button variant="default" onClick={() => setChoosing(true)}>
          {t('place.filter')}
        </Button>
      ) : (
        <>
          <Button variant="default" onClick={() => setChoosing(true)}>
            {words}
          </Button>
          <Button variant="subtle" onClick={() => onChange({ near: undefined, bbox: undefined })}>
            {t('place.anywhere')}
          </Button>
        </>
      )}
      {choosing && <Chooser near={near} onChange={onChange} close={() => setChoosing(false)} />}
    </>
  );
}

interface ChooserProps {
  readonly near: string | undefined;
  readonly onChange: (value: PlaceLimits) => void;
  readonly close: () => void;
}

function Chooser({ near, onChange, close }: ChooserProps) {
  const { t, number } = useWords();
  const [lat, lon, before] = near === undefined ? [] : near.split(',').map(Number);
  const [at, setAt] = useState<Place | null>(lat === undefined || lon === undefined ? null : { lat, lon });
  const [metres, setMetres] = useState(String(before ?? 500));
  const choices = [...new Set([...METRES, Number(metres)])].sort((a, b) => a - b);
  function choose() {
    if (at === null) return;
    onChange({ near: `${at.lat},${at.lon},${metres}`, bbox: undefined });
    close();
  }
  return (
    <Modal opened onClose={close} size="lg" title={t('place.filter')} closeButtonProps={{ 'aria-label': t('close') }}>
      <div className="stack">
        <PlaceField at={at} change={setAt} />
        <Select
          label={t('place.within')}
          allowDeselect={false}
          data={choices.map((one) => ({ value: String(one), label: `${number(one)} m` }))}
          value={metres}
          onChange={(value) => setMetres(value ?? metres)}
        />
        <div className="bar">
          <Button disabled={at === null} onClick={choose}>
            {t('place.show')}
          </Button>
          <Button variant="default" onClick={close}>
            {t('cancel')}
          </Button>
        </div>
      </div>
    </Modal>
  );
}
